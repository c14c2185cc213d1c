package uuid

type UUID [16]byte

func (UUID) String() string     { return "" }
func New() UUID                 { return UUID{} }
func NewString() string         { return "" }
func NewSHA1(UUID, []byte) UUID { return UUID{} }
