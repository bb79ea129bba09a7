package config

import "slices"

// LabelNames returns the names of the labels of all pools, each once, in order.
func (c *Config) LabelNames() []string {
	var names []string
	for _, p := range c.Pools {
		for _, l := range p.Labels {
			names = append(names, l.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
