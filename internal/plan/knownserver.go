package plan

// KnownServer is a server of which it is known what it can do.
type KnownServer struct {
	Name string // "" for the only one
	Capabilities
}

// KnownServers are the servers of a status of which it is known what they can do.
func (s Status) KnownServers() []KnownServer {
	if len(s.Servers) > 0 {
		var known []KnownServer
		for _, q := range s.Servers {
			if q.Capabilities != nil {
				known = append(known, KnownServer{q.Name, *q.Capabilities})
			}
		}
		return known
	}
	if s.Capabilities == nil {
		return nil
	}
	return []KnownServer{{Capabilities: *s.Capabilities}}
}
