package plan

// KnownServer is a server of which it is known what it can do.
type KnownServer struct {
	Name string // "" for the only one
	Capabilities
}

// KnownServers are the servers of a status of which it is known what they can do.
func (s Status) KnownServers() []KnownServer {
	if s.Capabilities == nil {
		return nil
	}
	return []KnownServer{{Capabilities: *s.Capabilities}}
}
