// Package torture torments a journal. It starts real processes of the real binary on real files, as a seed decides.
// Owners start, stop, are killed and frozen. People run every command at any time. Foreign transactions publish.
// Readers hold snapshots. Disks are full, slow, read-only or fail. Clocks step. Files get other names, move and
// vanish. The network between deployables is cut or holds bytes back. The broker loses records and topics, and
// other programs send records there. Backups replace journals and databases. Handlers misbehave in every known way.
//
// A model outside of the processes records the acknowledgements. In the end the disk works and the handlers behave,
// and the test starts an owner once more and compares the journal with the model: no acknowledged event is lost, no
// refused event exists, no effect happens twice, each key is in order, each subscription has a single answer for each
// event, no file is damaged, and every process ended in time and reported the truth.
//
// Package story has the schedules. Packages broker and network cause faults between deployables. Machine.Run runs a
// schedule, and Machine.Shrink looks for a shorter schedule with the same finding.
package torture
