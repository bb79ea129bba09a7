package plan

// HostStatus is how loaded the host is, as far as limits.pressure asks for it.
type HostStatus struct {
	Hold  string     `json:"hold,omitempty"` // why nothing new starts
	Gates []HostGate `json:"gates"`
}

// HostGate is one limit of limits.pressure and what was measured for it.
type HostGate struct {
	Kind HostKind `json:"kind"`
	Path string   `json:"path,omitempty"` // in the file system of free_disk
	// Known is false while it cannot be measured; Value and Limit mean nothing
	// then.
	Known bool    `json:"known"`
	Value float64 `json:"value"`
	Limit float64 `json:"limit"`
	// Holds says that nothing new starts on its account.
	Holds bool `json:"holds"`
}

// HostKind is what a gate measures.
type HostKind string

// The kinds: the first three in percent of the last 10 s in which some task
// waited for it, the others in bytes.
const (
	HostCPU        HostKind = "cpu"
	HostMemory     HostKind = "memory"
	HostIO         HostKind = "io"
	HostFreeMemory HostKind = "free_memory"
	HostFreeDisk   HostKind = "free_disk"
)
