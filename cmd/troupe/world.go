package main

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/troupebus/troupe"
)

// The simulated gateway and carrier are one outside world for all deployables, but what they have done lies beside the journal
// of those who ask them. It goes along when a module moves, or they would forget whom they have charged. Nobody asks them
// meanwhile, and one that knows more than its journal does no harm: that is why it goes before the move is decided.

// worldPath is where the simulated outside world keeps its own books: it must not forget when the shop is killed.
func worldPath(journal string) string { return journal + ".world" }

// moveWorld gives the world of the journal that modules go to what the other one's knows.
func moveWorld(m troupe.Move) error {
	if m.Act == "split" && !asksWorld(m.Modules) {
		return nil
	}
	return joinWorlds(worldPath(m.From), worldPath(m.To))
}

// joinWorlds adds to the file at to what the one at from has behind what both begin with. What a kill tears off does not count, as
// for the world itself, and what is there twice counts once.
func joinWorlds(from, to string) error {
	theirs, err := os.ReadFile(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(to, os.O_RDWR|os.O_CREATE, info.Mode().Perm()) // as private as that of the old one
	if err != nil {
		return err
	}
	ours, err := io.ReadAll(f)
	if err == nil {
		ours, theirs = wholeLines(ours), wholeLines(theirs)
		same := 0
		for same < min(len(ours), len(theirs)) && ours[same] == theirs[same] {
			same++
		}
		if err = f.Truncate(int64(len(ours))); err == nil {
			_, err = f.WriteAt(theirs[len(wholeLines(theirs[:same])):], int64(len(ours)))
		}
	}
	return errors.Join(err, f.Sync(), f.Close())
}

func wholeLines(text []byte) []byte { return text[:bytes.LastIndexByte(text, '\n')+1] }

// asksWorld reports whether any of modules calls the gateway or the carrier.
func asksWorld(modules []string) bool {
	return slices.Contains(modules, "payment") || slices.Contains(modules, "shipping")
}
