// Package torture torments a journal: real processes of the real binary on real files, as a seed decides. Owners start, stop, are killed
// and frozen; people run every command at any instant; foreign transactions publish; readers hold snapshots; disks are full, slow,
// read-only or fail; clocks step; files get other names, move and vanish; the wire between deployables is cut and held up; handlers
// misbehave in every way that is known.
//
// A model outside of these processes knows what was acknowledged. In the end, after a start in good weather with handlers that behave,
// it holds everything that is left against that: nothing acknowledged is lost, nothing refused has happened, nothing is done twice,
// each key is in order, each subscription has one answer for each event, no file is damaged, and every process ended in time and
// told the truth.
//
// A Schedule is data. Draw makes one from a seed, Machine.Run carries it out, Machine.Shrink makes one that finds something
// shorter.
package torture
