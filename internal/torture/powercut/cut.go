package powercut

import (
	"math/rand/v2"
	"slices"
)

// sector is the unit of a write to the disk, in bytes.
const sector = 512

// Loss is the share of unsynced sectors, and of unsynced changes of a file's length, lost in a power cut.
type Loss float64

// Cut returns the content of the file at path after the first n ops and a power cut.
func Cut(ops []Op, n int, path string, loss Loss, random *rand.Rand) []byte {
	ops = ops[:n]
	forced := -1 // ops that ended before this line of the trace are on the disk
	for _, op := range ops {
		if op.Kind == Sync && op.Path == path {
			forced = max(forced, op.Begun)
		}
	}
	var file []byte
	length := int64(0) // length of the file after the cut
	for _, op := range ops {
		if op.Path != path {
			continue
		}
		durable := op.Ended < forced
		kept := func() bool { return durable || random.Float64() >= float64(loss) }
		switch op.Kind {
		case Truncate:
			if kept() {
				length = op.Offset
				file = grow(file, length)
				clear(file[length:])
			}
		case Write:
			end := op.Offset + int64(len(op.Data))
			file = grow(file, end)
			if kept() {
				length = max(length, end)
			}
			for from, data := op.Offset, op.Data; len(data) > 0; {
				part := min(int64(len(data)), (from/sector+1)*sector-from)
				if kept() {
					copy(file[from:], data[:part])
					length = max(length, from+part)
				}
				from, data = from+part, data[part:]
			}
		}
	}
	return file[:length]
}

func grow(file []byte, length int64) []byte {
	if more := length - int64(len(file)); more > 0 {
		file = append(slices.Grow(file, int(more)), make([]byte, more)...)
	}
	return file
}
