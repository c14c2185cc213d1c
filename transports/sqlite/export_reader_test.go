package sqlite

// OpenReaderWithoutLocks opens a journal as where nothing can be written beside it.
var OpenReaderWithoutLocks = openStill
