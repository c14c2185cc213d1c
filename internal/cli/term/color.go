package term

// Colours of text, as parameters of the ANSI sequence SGR.
const (
	Red    = "31"
	Green  = "32"
	Yellow = "33"
)
