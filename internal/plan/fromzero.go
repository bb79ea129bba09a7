package plan

import "slices"

// FromZero is the pool as it would be if it kept no runner that no job asks for:
// its min and idle are 0, in its windows too.
func (p Pool) FromZero() Pool {
	p.Min, p.Idle, p.Auto, p.IdleWhy = 0, 0, nil, ""
	if p.Windows == nil {
		return p
	}
	list := slices.Clone(p.Windows.list)
	for i := range list {
		list[i].Min, list[i].Idle, list[i].Auto = nil, nil, nil
	}
	p.Windows = NewWindows(list...)
	return p
}
