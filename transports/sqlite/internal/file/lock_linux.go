package file

// setOpenFileLock is F_OFD_SETLK, which package syscall leaves out.
const setOpenFileLock = 37
