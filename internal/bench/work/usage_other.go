//go:build !unix

package work

import (
	"errors"
	"fmt"
	"time"
)

func processorTime() (time.Duration, error) {
	return 0, fmt.Errorf("processor time: %w", errors.ErrUnsupported)
}

func residentMB() (now, most float64, err error) {
	return 0, 0, fmt.Errorf("resident memory: %w", errors.ErrUnsupported)
}
