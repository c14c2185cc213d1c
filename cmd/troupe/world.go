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

// The simulated gateway and carrier are a single world for all deployables, but their acts are in a file beside the
// journal of the modules that call them. When such a module moves, the file's content must move along: otherwise a
// charge would be forgotten and repeated. No module calls the world during a move. Extra acts do no harm, so the
// world moves before the move is decided.

// worldPath returns the path of the world's own file, which must survive a kill of the shop.
func worldPath(journal string) string { return journal + ".world" }

// moveWorld adds the acts in the world of journal m.From to the world of journal m.To.
func moveWorld(m troupe.Move) error {
	if m.Act == "split" && !asksWorld(m.Modules) {
		return nil
	}
	return joinWorlds(worldPath(m.From), worldPath(m.To))
}

// joinWorlds appends to the file at to the lines of the file at from, without the lines that both files begin with.
// Both files may end with a line that a kill has cut off; such a line is dropped, as the world itself does. A line
// that both files have elsewhere counts once.
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
	f, err := os.OpenFile(to, os.O_RDWR|os.O_CREATE, info.Mode().Perm()) // as private as the old file
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
