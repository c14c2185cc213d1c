package file

const unknownReader = "unknown (fuser or lsof may tell)"
