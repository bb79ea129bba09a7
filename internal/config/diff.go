package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Change is one difference between two configurations, in words.
type Change struct {
	Path string `json:"path"` // of the key, as "pools[linux].max"
	Text string `json:"text"` // as "4 → 8", "added" or "removed"
	// Restart is set if the running daemon cannot take the change over.
	Restart bool `json:"restart,omitempty"`
}

// String is the change as people read it, as in "pools[linux].max: 4 → 8".
func (c Change) String() string { return c.Path + ": " + c.Text }

// Diff returns what has changed from one configuration to another, in the order
// of the keys. It shows no value that can hold a secret: what is private is only
// said to have changed. References to secrets are shown.
func Diff(from, to *Config) []Change {
	var d differ
	d.mapping(reflect.ValueOf(*from), reflect.ValueOf(*to), "", false)
	return d.changes
}

// Applicable returns the configuration that a daemon which runs with one can
// take over of another: what needs a restart stays as it is.
func Applicable(running, wanted *Config) *Config {
	c := *wanted
	keepRestarts(reflect.ValueOf(&c).Elem(), reflect.ValueOf(*running))
	return &c
}

// keepRestarts sets the fields that need a restart to the values that run.
func keepRestarts(to, running reflect.Value) {
	for _, k := range keysOf(to.Type()) {
		switch {
		case k.restart:
			to.FieldByIndex(k.field).Set(running.FieldByIndex(k.field))
		case isMapping(k.typ):
			keepRestarts(to.FieldByIndex(k.field), running.FieldByIndex(k.field))
		}
	}
}

// differ collects changes.
type differ struct{ changes []Change }

func (d *differ) report(path string, restart bool, format string, args ...any) {
	d.changes = append(d.changes, Change{Path: path, Text: fmt.Sprintf(format, args...), Restart: restart})
}

// mapping compares two structs key by key.
func (d *differ) mapping(from, to reflect.Value, path string, restart bool) {
	for _, k := range keysOf(from.Type()) {
		was, is, at := from.FieldByIndex(k.field), to.FieldByIndex(k.field), join(path, k.name)
		if k.private && was.Kind() != reflect.Map {
			if !reflect.DeepEqual(was.Interface(), is.Interface()) {
				d.report(at, restart || k.restart, "changed")
			}
			continue
		}
		d.value(was, is, at, restart || k.restart)
	}
}

func (d *differ) value(from, to reflect.Value, path string, restart bool) {
	if reflect.DeepEqual(from.Interface(), to.Interface()) {
		return
	}
	t := from.Type()
	switch {
	case t == valueType:
		d.report(path, restart, "changed")
	case t.Kind() == reflect.Pointer && (from.IsNil() || to.IsNil()):
		d.presence(from.IsNil(), path, restart)
	case t.Kind() == reflect.Pointer && isMapping(t.Elem()):
		d.mapping(from.Elem(), to.Elem(), path, restart)
	case t.Kind() == reflect.Pointer:
		d.report(path, restart, "%s → %s", show(from.Elem()), show(to.Elem()))
	case isMapping(t):
		d.mapping(from, to, path, restart)
	case t.Kind() == reflect.Slice && isNamed(t.Elem()):
		d.named(from, to, path, restart)
	case t.Kind() == reflect.Map:
		d.variables(from, to, path, restart)
	default:
		d.report(path, restart, "%s → %s", show(from), show(to))
	}
}

func (d *differ) presence(added bool, path string, restart bool) {
	if added {
		d.report(path, restart, "added")
		return
	}
	d.report(path, restart, "removed")
}

// isNamed reports whether things of the type are told apart by their names.
func isNamed(t reflect.Type) bool {
	if !isMapping(t) {
		return false
	}
	f, found := t.FieldByName("Name")
	return found && f.Type.Kind() == reflect.String
}

// named compares two lists of things that have names. Their order counts, too.
func (d *differ) named(from, to reflect.Value, path string, restart bool) {
	was, is := names(from), names(to)
	for i, name := range was {
		if k := slices.Index(is, name); k >= 0 {
			d.mapping(from.Index(i), to.Index(k), path+"["+name+"]", restart)
		} else {
			d.report(path+"["+name+"]", restart, "removed")
		}
	}
	for _, name := range is {
		if !slices.Contains(was, name) {
			d.report(path+"["+name+"]", restart, "added")
		}
	}
	was = slices.DeleteFunc(was, func(name string) bool { return !slices.Contains(is, name) })
	is = slices.DeleteFunc(is, func(name string) bool { return !slices.Contains(was, name) })
	if !slices.Equal(was, is) {
		d.report(path, restart, "order %s → %s", strings.Join(was, ", "), strings.Join(is, ", "))
	}
}

func names(list reflect.Value) []string {
	all := make([]string, 0, list.Len())
	for i := range list.Len() {
		all = append(all, list.Index(i).FieldByName("Name").String())
	}
	return all
}

// variables compares two maps without showing their values.
func (d *differ) variables(from, to reflect.Value, path string, restart bool) {
	var keys []string
	for _, m := range []reflect.Value{from, to} {
		for _, k := range m.MapKeys() {
			keys = append(keys, k.String())
		}
	}
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		k := reflect.ValueOf(key)
		was, is := from.MapIndex(k), to.MapIndex(k)
		switch {
		case !was.IsValid() || !is.IsValid():
			d.presence(!was.IsValid(), join(path, key), restart)
		case !reflect.DeepEqual(was.Interface(), is.Interface()):
			d.report(join(path, key), restart, "changed")
		}
	}
}

// show writes a value on one line.
func show(v reflect.Value) string {
	switch {
	case v.Kind() == reflect.String && v.Len() == 0:
		return `""`
	case v.Kind() == reflect.Slice && v.Len() == 0:
		return "none"
	}
	return fmt.Sprint(v.Interface())
}
