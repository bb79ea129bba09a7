package config

import (
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/agext/levenshtein"

	"scaler.io/scaler/internal/plan"
)

// key is what the tags of one struct field say.
type key struct {
	name       string
	field      []int // its place in its struct, as reflect.Value.FieldByIndex wants it
	typ        reflect.Type
	doc        string
	required   bool
	def        string
	hasDefault bool
	enum       []string
	min, max   string
	pattern    string
	rule       string
	format     string
	example    string
	restart    bool // the running daemon cannot take a change of it over
	private    bool // its value is shown to nobody
}

// keysOf returns the keys of a mapping that is decoded into the struct type. Those
// of an embedded struct stand beside the others.
func keysOf(t reflect.Type) []key {
	keys := make([]key, 0, t.NumField())
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			for _, k := range keysOf(f.Type) {
				k.field = append([]int{i}, k.field...)
				keys = append(keys, k)
			}
			continue
		}
		k := key{
			name: f.Tag.Get("yaml"), field: []int{i}, typ: f.Type, doc: f.Tag.Get("doc"),
			required: f.Tag.Get("required") == "true",
			enum:     strings.Fields(f.Tag.Get("enum")),
			min:      f.Tag.Get("min"), max: f.Tag.Get("max"),
			pattern: f.Tag.Get("pattern"), rule: f.Tag.Get("rule"),
			format: f.Tag.Get("format"), example: f.Tag.Get("example"),
			restart: f.Tag.Get("restart") == "true", private: f.Tag.Get("private") == "true",
		}
		k.def, k.hasDefault = f.Tag.Lookup("default")
		keys = append(keys, k)
	}
	return keys
}

// element returns the key's constraints for one element of its list or map.
func (k key) element() key {
	k.typ = k.typ.Elem()
	k.required, k.hasDefault, k.example = false, false, ""
	return k
}

var (
	durationType     = reflect.TypeFor[time.Duration]()
	levelType        = reflect.TypeFor[slog.Level]()
	scopeType        = reflect.TypeFor[plan.Scope]()
	labelType        = reflect.TypeFor[plan.Label]()
	secretType       = reflect.TypeFor[SecretRef]()
	cronType         = reflect.TypeFor[Cron]()
	timezoneType     = reflect.TypeFor[Timezone]()
	runnerConfigType = reflect.TypeFor[RunnerConfig]()
	spaceType        = reflect.TypeFor[Space]()
	idleType         = reflect.TypeFor[Idle]()
	portionType      = reflect.TypeFor[plan.Portion]()
	valueType        = reflect.TypeFor[Value]()
)

// isMapping reports whether the type is decoded from a mapping with the keys
// of its fields.
func isMapping(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != scopeType && t != labelType && t != secretType && t != spaceType && t != cronType && t != timezoneType && t != idleType && t != portionType && t != valueType
}

// kind names the key's type for people, as in "duration".
func (k key) kind() string {
	t := k.typ
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case len(k.enum) > 0 && t.Kind() != reflect.Slice:
		return strings.Join(k.enum, ", ")
	case t == durationType:
		return "duration"
	case t == scopeType:
		return "scope"
	case t == labelType:
		return "label"
	case t == secretType:
		return "secret"
	case t == valueType:
		return "text or secret"
	case t == spaceType:
		return "size or share"
	case t == portionType:
		return "number or share"
	case t == idleType:
		return "whole number or auto"
	case t == cronType:
		return "cron expression"
	case t == timezoneType:
		return "time zone"
	case k.format == "size":
		return "size"
	case (k.format == "absolute" || k.format == "file") && t.Kind() == reflect.String:
		return "path"
	case k.format == "url":
		return "URL"
	case k.format == "listen":
		return "address"
	case k.format == "network" && t.Kind() == reflect.String:
		return "network"
	case k.format == "image" && t.Kind() == reflect.String:
		return "image"
	}
	switch t.Kind() {
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "whole number"
	case reflect.Float64:
		return "number"
	case reflect.Slice:
		if t == runnerConfigType {
			return "mapping"
		}
		if len(k.enum) > 0 {
			return "list of words"
		}
		return "list of " + plural(k.element().kind())
	case reflect.Map:
		return "mapping of text to " + k.element().kind()
	}
	return "mapping"
}

func plural(kind string) string {
	switch kind {
	case "text":
		return kind
	case "text or secret":
		return "text or secrets"
	}
	return kind + "s"
}

// expected says what a value of the key looks like, as in
// "a duration, like 5m".
func (k key) expected() string {
	kind := k.kind()
	article := "a "
	switch {
	case kind == "image", kind == "address":
		article = "an "
	case len(k.enum) > 0 && k.typ.Kind() != reflect.Slice:
		return "one of " + kind
	case kind == "text", kind == "text or secret", kind == "true or false":
		article = ""
	}
	if settings := k.settings(); settings != "" {
		return article + kind + " with " + settings
	}
	if example := k.anExample(); example != "" {
		return article + kind + ", like " + example
	}
	return article + kind
}

// settings names some keys of a mapping, or of each mapping of a list: those
// that are required, or else the first ones.
func (k key) settings() string {
	t := k.typ
	if kind := t.Kind(); kind == reflect.Pointer || kind == reflect.Slice {
		t = t.Elem()
	}
	if !isMapping(t) {
		return ""
	}
	var required, all []string
	for _, k := range keysOf(t) {
		all = append(all, k.name)
		if k.required {
			required = append(required, k.name)
		}
	}
	switch {
	case len(required) > 0:
		return strings.Join(required, ", ")
	case len(all) > 3:
		return strings.Join(all[:3], ", ") + " or others"
	}
	return strings.Join(all, ", ")
}

// anExample returns a value to show, which may be empty.
func (k key) anExample() string {
	switch {
	case k.example != "":
		return k.example
	case k.hasDefault && k.def != "[]" && k.def != "{}":
		return k.def
	case k.typ == labelType:
		return "linux:host"
	case k.kind() == "secret":
		return "{file: PATH}"
	}
	return ""
}

// nearest returns the known name that was most likely meant, if there is one
// close enough.
func nearest(name string, known []string) (string, bool) {
	normal := strings.NewReplacer("-", "_", " ", "_").Replace(strings.ToLower(name))
	best, bestDistance := "", 1+min(3, max(1, len(normal)/3))
	for _, candidate := range known {
		if d := levenshtein.Distance(normal, candidate, nil); d < bestDistance {
			best, bestDistance = candidate, d
		}
	}
	return best, best != ""
}

// places returns where in the configuration a key of this name belongs, as
// in "pools[].container".
func places(name string) []string {
	var found []string
	walk(reflect.TypeFor[Config](), "", func(path string, k key) {
		if k.name == name {
			found = append(found, strings.TrimSuffix(strings.TrimSuffix(path, name), "."))
		}
	})
	slices.Sort(found)
	return found
}

// walk calls visit for every key below a mapping in the order of the structs,
// those of a mapping after the mapping itself. Below a secret it visits
// nothing, as all secrets have the same keys.
func walk(t reflect.Type, prefix string, visit func(path string, k key)) {
	for _, k := range keysOf(t) {
		path := prefix + k.name
		inner, suffix := k.typ, "."
		switch inner.Kind() {
		case reflect.Pointer:
			inner = inner.Elem()
		case reflect.Slice:
			inner, suffix = inner.Elem(), "[]."
		}
		visit(path, k)
		if isMapping(inner) {
			walk(inner, path+suffix, visit)
		}
	}
}
