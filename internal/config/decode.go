package config

import (
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// maxNodes bounds how many values one file may come to once its aliases are
// followed, so that a small file cannot expand into a huge one.
const maxNodes = 100_000

// decoder decodes YAML nodes into structs by the tags of their fields and
// collects every problem on the way. It knows afterwards on which line each
// path stands and which paths could not be decoded.
type decoder struct {
	file     string
	dir      string // where relative paths start
	problems Problems
	lines    map[string]int
	failed   map[string]bool
	// secrets has the references to secrets by path, in order.
	secrets []secretAt
	// documents has the runner_config mappings by path.
	documents map[string]map[string]any
	following map[*yaml.Node]bool // the aliased nodes that are being decoded
	nodes     int                 // decoded so far, with those behind aliases
	full      bool                // nodes exceeded maxNodes
}

type secretAt struct {
	path string
	ref  SecretRef
}

func newDecoder(file, dir string) *decoder {
	return &decoder{
		file: file, dir: dir,
		lines: map[string]int{}, failed: map[string]bool{},
		documents: map[string]map[string]any{}, following: map[*yaml.Node]bool{},
	}
}

// report records a problem at a path.
func (d *decoder) report(path, format string, args ...any) {
	d.reportAt(d.line(path), path, format, args...)
}

func (d *decoder) reportAt(line int, path, format string, args ...any) {
	d.failed[path] = true
	d.problems = append(d.problems, Problem{File: d.file, Line: line, Path: path, Message: fmt.Sprintf(format, args...)})
}

// line returns the line of a path, or of the nearest thing around it for what
// is not in the file.
func (d *decoder) line(path string) int {
	for {
		if line, ok := d.lines[path]; ok {
			return line
		}
		i := strings.LastIndexAny(path, ".[")
		if i < 0 {
			return max(1, d.lines[""])
		}
		path = path[:i]
	}
}

// ok reports whether all the paths could be decoded, so that it makes sense
// to check their values further.
func (d *decoder) ok(paths ...string) bool {
	for _, p := range paths {
		if d.failed[p] {
			return false
		}
	}
	return true
}

// value decodes n into v, which belongs to the key at path.
func (d *decoder) value(n *yaml.Node, v reflect.Value, k key, path string) {
	n, done, ok := d.follow(n, path)
	if !ok {
		return
	}
	defer done()
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v, k.typ = v.Elem(), k.typ.Elem()
	}
	switch {
	case v.Type() == secretType:
		d.secret(n, v, path)
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null":
		d.report(path, "it has no value: give it %s, or remove the key", k.expected())
	case v.Type() == valueType:
		d.textOrSecret(n, v, k, path)
	case v.Type() == runnerConfigType:
		d.document(n, k, path)
	case isMapping(v.Type()):
		d.mapping(n, v, k, path)
	case v.Kind() == reflect.Slice:
		d.list(n, v, k, path)
	case v.Kind() == reflect.Map:
		d.dictionary(n, v, k, path)
	case n.Kind != yaml.ScalarNode:
		d.report(path, "expected %s, found %s", k.expected(), found(n))
	default:
		parsed, err := d.scalarParser(k)(n)
		if err != nil {
			d.report(path, "%s", err)
			return
		}
		v.Set(reflect.ValueOf(parsed).Convert(v.Type()))
	}
}

// mapping decodes a mapping into a struct.
func (d *decoder) mapping(n *yaml.Node, v reflect.Value, k key, path string) {
	if n.Kind != yaml.MappingNode {
		d.report(path, "expected %s, found %s", k.expected(), found(n))
		return
	}
	keys := keysOf(v.Type())
	byName := map[string]key{}
	for _, k := range keys {
		byName[k.name] = k
	}
	present := map[string]bool{}
	for _, p := range d.pairs(n, path) {
		k, known := byName[p.name]
		if !known {
			present[d.unknownKey(p, keys, path)] = true
			continue
		}
		present[k.name] = true
		d.lines[join(path, k.name)] = p.line
		d.value(p.value, v.FieldByIndex(k.field), k, join(path, k.name))
	}
	for _, k := range keys {
		if !present[k.name] {
			d.absent(v.FieldByIndex(k.field), k, join(path, k.name))
		}
	}
}

// absent deals with a key that is not in the file.
func (d *decoder) absent(v reflect.Value, k key, path string) {
	switch {
	case k.required:
		d.report(path, "required: add %s: %s", k.name, k.expected())
	case isMapping(v.Type()):
		for _, inner := range keysOf(v.Type()) {
			d.absent(v.FieldByIndex(inner.field), inner, join(path, inner.name))
		}
	case k.hasDefault && k.def != "":
		var n yaml.Node
		if err := yaml.Unmarshal([]byte(k.def), &n); err != nil {
			panic(fmt.Sprintf("config: default of %s: %v", path, err)) // a fault in a tag, found by any test
		}
		d.value(n.Content[0], v, k, path)
	}
}

// unknownKey reports a key that does not exist and returns the one that was
// probably meant.
func (d *decoder) unknownKey(p pair, keys []key, path string) string {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.name
	}
	at := join(path, p.name)
	if near, ok := nearest(p.name, names); ok {
		d.reportAt(p.line, at, "unknown key %q; did you mean %q?", p.name, near)
		return near
	}
	var where []string
	for _, place := range places(p.name) {
		if place == "" {
			place = "the top level"
		}
		where = append(where, place)
	}
	if len(where) > 0 {
		d.reportAt(p.line, at, "unknown key %q here; it belongs in %s", p.name, strings.Join(where, " or "))
		return ""
	}
	d.reportAt(p.line, at, "unknown key %q; the keys here are %s", p.name, strings.Join(names, ", "))
	return ""
}

// list decodes a sequence into a slice.
func (d *decoder) list(n *yaml.Node, v reflect.Value, k key, path string) {
	if n.Kind != yaml.SequenceNode {
		d.report(path, "expected %s, found %s", k.expected(), found(n))
		return
	}
	if len(n.Content) == 0 && k.required {
		d.report(path, "it is empty: at least one is needed")
		return
	}
	element := k.element()
	out := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, item := range n.Content {
		at := path + "[" + strconv.Itoa(i) + "]"
		d.lines[at] = item.Line
		d.value(item, out.Index(i), element, at)
	}
	v.Set(out)
}

// dictionary decodes a mapping with free keys.
func (d *decoder) dictionary(n *yaml.Node, v reflect.Value, k key, path string) {
	if n.Kind != yaml.MappingNode {
		d.report(path, "expected %s, found %s", k.expected(), found(n))
		return
	}
	element := k.element()
	out := reflect.MakeMap(v.Type())
	for _, p := range d.pairs(n, path) {
		at := join(path, p.name)
		d.lines[at] = p.line
		value := reflect.New(element.typ).Elem()
		d.value(p.value, value, element, at)
		out.SetMapIndex(reflect.ValueOf(p.name), value)
	}
	v.Set(out)
}

// secret decodes a reference to a secret. Nothing that stands there is ever
// repeated in a message: it may be the secret itself.
func (d *decoder) secret(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		d.report(path, "%s", inlineSecret)
		return
	}
	var keys secretKeys
	byName := map[string]key{}
	for _, k := range keysOf(reflect.TypeFor[secretKeys]()) {
		byName[k.name] = k
	}
	before := len(d.problems)
	pairs := d.allPairs(n, path)
	for _, p := range pairs {
		k, known := byName[p.name]
		switch {
		case !known:
			d.reportAt(p.line, path, "unknown key in a secret's place: %s", inlineSecret)
			continue
		case p.first != 0:
			d.duplicate(p, path)
			continue
		}
		at := join(path, k.name)
		d.lines[at] = p.line
		d.value(p.value, reflect.ValueOf(&keys).Elem().FieldByIndex(k.field), k, at)
	}
	ref, ok := keys.ref()
	switch {
	case len(d.problems) > before:
		d.failed[path] = true
	case !ok || len(pairs) != 1:
		d.report(path, "expected exactly one of {file: PATH}, {env: NAME} and {credential: NAME}")
	default:
		v.Set(reflect.ValueOf(ref))
		d.secrets = append(d.secrets, secretAt{path, ref})
	}
}

var plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// join appends a key to a path; keys that would be mistaken for a path of
// their own are put in brackets.
func join(path, name string) string {
	switch {
	case !plainKey.MatchString(name):
		return path + "[" + strconv.Quote(name) + "]"
	case path == "":
		return name
	}
	return path + "." + name
}
