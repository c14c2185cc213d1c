package file

// setOpenFileLock is F_OFD_SETLK. Package syscall lacks it.
const setOpenFileLock = 37
