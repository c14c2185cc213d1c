// Package migrations checks the files of a module's migrations. The package imports the standard library only.
package migrations

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// Check returns an error when fsys has no migration, or a migration in the wrong folder.
func Check(fsys fs.FS) error {
	byDepth := map[int][]string{}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && path.Ext(name) == ".sql" {
			depth := strings.Count(name, "/")
			byDepth[depth] = append(byDepth[depth], name)
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case len(byDepth) == 0:
		return errors.New("no .sql file at the top of the file system, or one folder below")
	}
	taken := 0 // the depth of the folder that is applied: the top, if the top has a file
	if len(byDepth[0]) == 0 {
		taken = 1
	}
	for _, depth := range slices.Sorted(maps.Keys(byDepth)) {
		if depth != taken {
			return fmt.Errorf("%s would not be applied: put all .sql files at the top of the file system, or all one folder below",
				byDepth[depth][0])
		}
	}
	return nil
}
