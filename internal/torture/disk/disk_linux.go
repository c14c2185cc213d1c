package disk

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

// Constants of Linux that package syscall lacks: linux/seccomp.h, linux/audit.h, linux/bpf_common.h.
const (
	setModeFilter  = 1
	newListener    = 1 << 3
	noNewPrivs     = 38
	retAllow       = 0x7fff0000
	retUserNotify  = 0x7fc00000
	notifyContinue = 1
	ioctlReceive   = 0xc0502100
	ioctlSend      = 0xc0182101
	loadWord       = 0x20
	jumpEqual      = 0x15
	jumpAnySet     = 0x45
	ret            = 0x06
	pollIn         = 1
)

// machine has the constants of a processor.
type machine struct{ seccomp, arch uintptr }

var machines = map[string]machine{"amd64": {317, 0xc000003e}, "arm64": {277, 0xc00000b7}}

// kinds are the system calls that the filter reports. An openat is reported only if it may write.
var kinds = map[int32]kind{
	syscall.SYS_PWRITE64: write, syscall.SYS_FSYNC: sync_, syscall.SYS_FDATASYNC: sync_,
	syscall.SYS_FTRUNCATE: truncate, syscall.SYS_FALLOCATE: allocate, syscall.SYS_OPENAT: open,
	syscall.SYS_SET_TID_ADDRESS: begin, syscall.SYS_CLOCK_GETTIME: clock,
}

const realTime = 0 // CLOCK_REALTIME

const writing = syscall.O_WRONLY | syscall.O_RDWR | syscall.O_CREAT

// filter returns the seccomp program. It reports the system calls in kinds, and allows all other calls. Jt and Jf
// count from the next line.
func filter(arch uintptr) []syscall.SockFilter {
	numbers := []uint32{
		syscall.SYS_PWRITE64, syscall.SYS_FSYNC, syscall.SYS_FDATASYNC, syscall.SYS_FTRUNCATE, syscall.SYS_FALLOCATE,
		syscall.SYS_SET_TID_ADDRESS, // the C library makes the call once, at the very beginning
	}
	n := uint8(len(numbers))
	f := []syscall.SockFilter{
		{Code: loadWord, K: 4}, // seccomp_data.arch
		{Code: jumpEqual, K: uint32(arch), Jf: n + 7},
		{Code: loadWord, K: 0}, // seccomp_data.nr
	}
	for i, nr := range numbers {
		f = append(f, syscall.SockFilter{Code: jumpEqual, K: nr, Jt: n + 6 - uint8(i)})
	}
	return append(f,
		syscall.SockFilter{Code: jumpEqual, K: syscall.SYS_OPENAT, Jf: 2},
		syscall.SockFilter{Code: loadWord, K: argument(2)}, // the flags
		syscall.SockFilter{Code: jumpAnySet, K: writing, Jt: 4, Jf: 3},
		syscall.SockFilter{Code: jumpEqual, K: syscall.SYS_CLOCK_GETTIME, Jf: 2},
		syscall.SockFilter{Code: loadWord, K: argument(0)}, // the clock's number
		syscall.SockFilter{Code: jumpEqual, K: realTime, Jt: 1},
		syscall.SockFilter{Code: ret, K: retAllow},
		syscall.SockFilter{Code: ret, K: retUserNotify},
	)
}

// argument returns the offset of the low half of argument n in seccomp_data.
func argument(n uint32) uint32 { return 16 + n*8 }

// socketFD is the descriptor of the socket on which Through sends the listener to the watching process.
const socketFD = 3

// Through replaces this process by the program args[0] with the arguments args, on the Disk that started this
// process. Through returns only on failure.
func Through(args []string) error {
	runtime.LockOSThread() // the filter belongs to the thread, and exec keeps the calling thread
	listener, err := install()
	if err != nil {
		return err
	}
	if err := syscall.Sendmsg(socketFD, []byte{0}, syscall.UnixRights(listener), nil, 0); err != nil {
		return fmt.Errorf("hand over the listener: %w", err)
	}
	syscall.CloseOnExec(socketFD) // StartBy waits for the end of the socket
	return syscall.Exec(args[0], args, os.Environ())
}

// install sets the filter for this thread, and returns the descriptor on which the kernel asks.
func install() (listener int, err error) {
	m, ok := machines[runtime.GOARCH]
	if !ok {
		return 0, fmt.Errorf("no seccomp filter for %s", runtime.GOARCH)
	}
	program := filter(m.arch)
	p := syscall.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if _, _, e := syscall.Syscall6(syscall.SYS_PRCTL, noNewPrivs, 1, 0, 0, 0, 0); e != 0 {
		return 0, fmt.Errorf("prctl(PR_SET_NO_NEW_PRIVS): %w", e)
	}
	fd, _, e := syscall.Syscall(m.seccomp, setModeFilter, newListener, uintptr(unsafe.Pointer(&p)))
	runtime.KeepAlive(program)
	if e != 0 {
		return 0, fmt.Errorf("seccomp: %w", e)
	}
	return int(fd), nil
}

// Start starts cmd on the disk, with the real clock; see StartBy.
func (d *Disk) Start(cmd *exec.Cmd, launcher ...string) error {
	return d.StartBy(nil, cmd, launcher...)
}

// StartBy starts cmd on the disk and by clock c, or by the real clock where c is nil. It starts launcher, a command
// line to which StartBy appends cmd, and which must pass these words to Through. StartBy returns when cmd has replaced
// the launcher: a signal that the launcher gets on its way is lost. A goroutine answers the system calls of the process
// until the process ends.
func (d *Disk) StartBy(c *Clock, cmd *exec.Cmd, launcher ...string) error {
	ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("disk: socket pair: %w", err)
	}
	ours := ends[0]
	defer func() { _ = syscall.Close(ours) }()
	theirs := os.NewFile(uintptr(ends[1]), "disk")
	if len(cmd.ExtraFiles) > 0 {
		return errors.Join(errors.New("disk: the command has extra files"), theirs.Close())
	}
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.Args = append(append(launcher[:len(launcher):len(launcher)], cmd.Path), cmd.Args[1:]...)
	cmd.Path = launcher[0]
	err = cmd.Start()
	_ = theirs.Close()
	if err != nil {
		return err
	}
	listener, err := receive(ours)
	if err != nil {
		_ = cmd.Process.Kill()
		return errors.Join(fmt.Errorf("disk: the process did not hand over its listener: %w", err), cmd.Wait())
	}
	go d.serve(listener, c)
	for err = syscall.EINTR; err == syscall.EINTR; {
		_, err = syscall.Read(ours, make([]byte, 1))
	}
	return err
}

// receive reads a file descriptor from a socket.
func receive(socket int) (int, error) {
	buf, control := make([]byte, 1), make([]byte, syscall.CmsgSpace(4))
	n, size, _, _, err := syscall.Recvmsg(socket, buf, control, syscall.MSG_CMSG_CLOEXEC)
	if err != nil {
		return 0, err
	}
	if n == 0 {
		return 0, errors.New("it ended before")
	}
	messages, err := syscall.ParseSocketControlMessage(control[:size])
	if err != nil || len(messages) != 1 {
		return 0, fmt.Errorf("%d control messages: %w", len(messages), err)
	}
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return 0, fmt.Errorf("%d file descriptors: %w", len(fds), err)
	}
	return fds[0], nil
}

// question is struct seccomp_notif, reply is struct seccomp_notif_resp.
type question struct {
	id   uint64
	pid  uint32
	_    uint32
	nr   int32
	_    uint32
	_    uint64
	args [6]uint64
}

type reply struct {
	id    uint64
	value int64
	err   int32
	flags uint32
}

type pollFD struct {
	fd              int32
	events, revents int16
}

// serve answers the kernel until no process with the filter is left.
func (d *Disk) serve(listener int, c *Clock) {
	defer func() { _ = syscall.Close(listener) }()
	for {
		p := pollFD{fd: int32(listener), events: pollIn}
		_, _, e := syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1, 0, 0, 0, 0)
		if e == syscall.EINTR {
			continue
		}
		if e != 0 || p.revents&pollIn == 0 {
			return
		}
		var q question
		if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, uintptr(listener), ioctlReceive,
			uintptr(unsafe.Pointer(&q))); e != 0 {
			continue // the thread that made the call is gone
		}
		if c != nil && kinds[q.nr] == begin {
			_ = q.hideClock() // on failure the process sees the real time
		}
		if c != nil && kinds[q.nr] == clock {
			c.answerTime(listener, &q)
			continue
		}
		w := d.Weather()
		if w == Good {
			send(listener, q.id, 0)
			continue
		}
		takes, errno := d.answer(w, q.call())
		if takes == 0 {
			send(listener, q.id, errno)
			continue
		}
		time.AfterFunc(takes, func() { send(listener, q.id, errno) })
	}
}

// send lets a call continue, or fail with errno. If the thread of the call is gone, or the listener closed, no answer
// is needed.
func send(listener int, id uint64, errno syscall.Errno) {
	r := reply{id: id, err: -int32(errno)}
	if errno == 0 {
		r.flags = notifyContinue
	}
	_, _, _ = syscall.Syscall(syscall.SYS_IOCTL, uintptr(listener), ioctlSend, uintptr(unsafe.Pointer(&r)))
}

// call returns the details of the system call of q.
func (q *question) call() call {
	c := call{kind: kinds[q.nr], length: -1}
	switch c.kind {
	case begin, clock:
		return c
	case open:
		flags := q.args[2]
		c.writes, c.makes = flags&(syscall.O_WRONLY|syscall.O_RDWR) != 0, flags&syscall.O_CREAT != 0
		c.path = q.path(q.args[1])
	default:
		c.path, _ = os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", q.pid, int32(q.args[0])))
	}
	if info, err := os.Stat(c.path); err == nil {
		c.length = info.Size()
	}
	switch c.kind {
	case write:
		c.end = int64(q.args[3] + q.args[2])
	case truncate:
		c.end = int64(q.args[1])
	}
	return c
}

const longestPath = 4096

// path reads the path of an open from the memory of the process.
func (q *question) path(at uint64) string {
	mem, err := os.Open("/proc/" + strconv.Itoa(int(q.pid)) + "/mem")
	if err != nil {
		return ""
	}
	defer func() { _ = mem.Close() }()
	buf := make([]byte, longestPath)
	n, _ := mem.ReadAt(buf, int64(at)) // the next page may be missing
	end := bytes.IndexByte(buf[:n], 0)
	if end < 0 {
		return ""
	}
	path := string(buf[:end])
	if !filepath.IsAbs(path) {
		folder, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", q.pid))
		if err != nil {
			return ""
		}
		path = filepath.Join(folder, path)
	}
	return path
}

// Available returns the reason why processes cannot run on a Disk here, or nil.
func Available() error {
	if _, ok := machines[runtime.GOARCH]; !ok {
		return fmt.Errorf("no seccomp filter for %s", runtime.GOARCH)
	}
	actions, err := os.ReadFile("/proc/sys/kernel/seccomp/actions_avail")
	if err != nil {
		return err
	}
	if !bytes.Contains(actions, []byte("user_notif")) {
		return errors.New("this kernel has no seccomp user notification")
	}
	return nil
}
