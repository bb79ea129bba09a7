package config

import (
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"time"

	"github.com/docker/go-units"
)

// Effect is one key of a configuration with the value that holds, in words
// that hold no secret.
type Effect struct {
	Section string // "gitea", "pools[linux]", …; empty for what is at the top
	Path    string // of the key in its section, as "container.memory"
	Value   string
	// Default is set if the value is the one that holds where the key is
	// missing.
	Default bool
	// Restart is set if a change takes effect after a restart only.
	Restart bool
}

// Effects returns all keys of a configuration, in the order of the keys, with
// the values that hold. Keys that are not set and have no default are left out.
// Of a secret it says where it is kept; of what may hold one that somebody has
// put there it shows no value.
func Effects(c *Config) []Effect {
	var l lister
	v := reflect.ValueOf(*c)
	for _, k := range keysOf(v.Type()) {
		f := v.FieldByIndex(k.field)
		switch {
		case f.Kind() == reflect.Pointer && f.IsNil():
		case f.Kind() == reflect.Pointer:
			l.mapping(f.Elem(), k.name, "", k.restart)
		case isMapping(f.Type()):
			l.mapping(f, k.name, "", k.restart)
		case f.Kind() == reflect.Slice && isNamed(f.Type().Elem()):
			for i := range f.Len() {
				l.mapping(f.Index(i), fmt.Sprintf("%s[%s]", k.name, f.Index(i).FieldByName("Name")), "", k.restart)
			}
		default:
			l.add(k, f, "", k.name, k.restart)
		}
	}
	return l.list
}

// lister collects effects.
type lister struct{ list []Effect }

// mapping adds the keys of a struct.
func (l *lister) mapping(v reflect.Value, section, prefix string, restart bool) {
	for _, k := range keysOf(v.Type()) {
		f, path := v.FieldByIndex(k.field), join(prefix, k.name)
		if f.Kind() == reflect.Pointer {
			if f.IsNil() {
				continue
			}
			f = f.Elem()
		}
		switch {
		case isMapping(f.Type()):
			l.mapping(f, section, path, restart || k.restart)
		case f.Kind() == reflect.Slice && isMapping(f.Type().Elem()):
			for i := range f.Len() {
				l.mapping(f.Index(i), section, fmt.Sprintf("%s[%d]", path, i), restart || k.restart)
			}
		default:
			l.add(k, f, section, path, restart || k.restart)
		}
	}
}

func (l *lister) add(k key, v reflect.Value, section, path string, restart bool) {
	l.list = append(l.list, Effect{Section: section, Path: path, Value: k.shown(v), Default: k.isDefault(v), Restart: restart})
}

// shown is a value of the key as people read it.
func (k key) shown(v reflect.Value) string {
	switch {
	case k.private && v.IsZero(), v.Kind() == reflect.Map && v.Len() == 0:
		return "none"
	case k.private:
		return "set, not shown: it may hold a secret"
	case v.Type() == secretType:
		return "from " + v.Interface().(SecretRef).String()
	case v.Type() == valueType:
		if ref := v.Interface().(Value).ref; ref != nil {
			return "from " + ref.String()
		}
		return "set, not shown: it may hold a secret"
	case v.Type() == durationType:
		return shortDuration(v.Interface().(time.Duration))
	case k.format == "size" && v.Int() > 0:
		return units.BytesSize(float64(v.Int()))
	case k.format == "url":
		return withoutUser(v.String())
	case v.Kind() == reflect.Slice && v.Len() > 0:
		items := make([]string, v.Len())
		for i := range items {
			items[i] = fmt.Sprint(v.Index(i).Interface())
		}
		return strings.Join(items, ", ")
	case v.Kind() == reflect.Map && v.Len() > 0:
		return strings.TrimSuffix(strings.TrimPrefix(fmt.Sprint(v.Interface()), "map["), "]")
	case v.Kind() == reflect.String && v.Len() == 0:
		return "none"
	}
	return show(v)
}

// isDefault reports whether a value is that of a missing key.
func (k key) isDefault(v reflect.Value) bool {
	switch {
	case !k.hasDefault:
		return v.IsZero()
	case k.def == "[]" || k.def == "{}" || k.def == "":
		return v.IsZero() || (v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.Len() == 0
	case v.Type() == durationType:
		d, err := time.ParseDuration(k.def)
		return err == nil && d == v.Interface().(time.Duration)
	case k.def == "0":
		return v.IsZero()
	}
	return strings.EqualFold(show(v), k.def)
}

// withoutUser is a URL without what may be a password in it.
func withoutUser(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "not shown: it is no URL"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}
