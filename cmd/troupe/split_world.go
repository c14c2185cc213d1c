package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/troupebus/troupe/transports/sqlite/move"
)

// The simulated gateway and carrier are one outside world for all deployables, but what they have done lies beside the journal
// of those who ask them. It goes along when a module moves, or they would forget whom they have charged.

// splitWithWorld is move.Split, after which the new journal's world knows what the old one's does.
func splitWithWorld(ctx context.Context, m move.Options) (*move.Proof, error) {
	proof, err := move.Split(ctx, m)
	if err != nil || m.DryRun || !asksWorld(m.Modules) {
		return proof, err
	}
	known, err := os.ReadFile(worldPath(m.Journal))
	if errors.Is(err, fs.ErrNotExist) {
		return proof, nil
	}
	if err == nil {
		err = os.WriteFile(worldPath(m.Other), known, 0o644)
	}
	if err != nil {
		err = fmt.Errorf("the journal is split, but what the simulated gateway and carrier did is not copied: cp %s %s: %w",
			worldPath(m.Journal), worldPath(m.Other), err)
	}
	return proof, err
}

// mergeWithWorld is move.Merge, after which the world knows what that of the other journal has done since the split.
func mergeWithWorld(ctx context.Context, m move.Options) (*move.Proof, error) {
	proof, err := move.Merge(ctx, m)
	if err != nil || m.DryRun {
		return proof, err
	}
	if err := joinWorlds(worldPath(m.Other), worldPath(m.Journal)); err != nil {
		return proof, fmt.Errorf("the journals are merged, but what the simulated gateway and carrier did is not: %w", err)
	}
	return proof, nil
}

// joinWorlds adds to the file at to what the one at from has behind what both begin with.
func joinWorlds(from, to string) error {
	theirs, err := os.ReadFile(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	ours, err := os.ReadFile(to)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	ours = ours[:bytes.LastIndexByte(ours, '\n')+1] // what a kill tore off does not count, as for the world itself
	same := 0
	for same < min(len(ours), len(theirs)) && ours[same] == theirs[same] {
		same++
	}
	same = bytes.LastIndexByte(theirs[:same], '\n') + 1 // lines, not parts of one
	return os.WriteFile(to, append(ours, theirs[same:]...), 0o644)
}

// asksWorld says whether any of modules, of which nil are all, calls the gateway or the carrier.
func asksWorld(modules []string) bool {
	return modules == nil || slices.Contains(modules, "payment") || slices.Contains(modules, "shipping")
}
