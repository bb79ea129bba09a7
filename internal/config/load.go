package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// Load reads and parses the file. What is wrong with its content is returned
// as Problems, all of it at once.
func Load(path string) (*Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return Parse(path, data)
}

// Parse parses and validates a configuration, for which it looks at the files
// and variables that hold its secrets. The path stands in the messages, and
// relative paths in the file start at its directory. The error is Problems.
func Parse(path string, data []byte) (*Config, error) {
	c, d, err := decode(path, data)
	if err != nil {
		return nil, err
	}
	validate(d, c)
	if len(d.problems) > 0 {
		return nil, d.problems.sorted()
	}
	return c, nil
}

// Places are where a running daemon is found.
type Places struct {
	ControlSocket string
	StateDir      string
	Servers       []string // their names, where there are several
}

// FindPlaces reads from a file where its daemon is, whatever else is wrong
// with it: a file that was broken since the daemon's start, or whose secrets
// only the service can read, must keep nobody from looking at the daemon.
func FindPlaces(path string) (Places, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Places{}, fmt.Errorf("read configuration: %w", err)
	}
	c, _, err := decode(path, data)
	if err != nil {
		return Places{}, err
	}
	p := Places{ControlSocket: c.ControlSocket, StateDir: c.StateDir}
	for _, s := range c.Servers {
		p.Servers = append(p.Servers, s.Name)
	}
	return p, nil
}

// decode reads the values of a file. The problems are the decoder's; the error
// is for a file that is not YAML, of which nothing can be read.
func decode(path string, data []byte) (*Config, *decoder, error) {
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, nil, fmt.Errorf("find directory of configuration: %w", err)
	}
	root, problem := parseYAML(data)
	if problem != nil {
		problem.File = path
		return nil, nil, Problems{*problem}
	}
	d := newDecoder(path, dir)
	d.lines[""] = root.Line
	c := new(Config)
	d.mapping(root, reflect.ValueOf(c).Elem(), key{typ: reflect.TypeFor[Config]()}, "")
	complete(c)
	return c, d, nil
}

// parseYAML returns the mapping that the file consists of.
func parseYAML(data []byte) (*yaml.Node, *Problem) {
	if !utf8.Valid(data) {
		return nil, &Problem{Line: lineOf(data, invalidUTF8(data)), Message: "the file is not valid UTF-8: save it as UTF-8"}
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, next yaml.Node
	err := dec.Decode(&doc)
	switch {
	case errors.Is(err, io.EOF), err == nil && isEmpty(&doc):
		return nil, &Problem{Line: 1, Message: "the file is empty: start from configs/minimal.yaml"}
	case err != nil:
		return nil, syntaxProblem(data, err)
	}
	switch err := dec.Decode(&next); {
	case err == nil:
		return nil, &Problem{Line: next.Line, Message: "a second YAML document begins here: keep everything in one document, without ---"}
	case !errors.Is(err, io.EOF):
		return nil, syntaxProblem(data, err)
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, &Problem{Line: root.Line, Message: "expected a mapping of keys to values, like gitea: {...}, found " + found(root)}
	}
	return root, nil
}

func isEmpty(doc *yaml.Node) bool {
	return len(doc.Content) == 0 || doc.Content[0].Kind == yaml.ScalarNode && doc.Content[0].ShortTag() == "!!null"
}

var (
	unknownAnchor = regexp.MustCompile(`unknown anchor '(.*)' referenced`)
	yamlError     = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)`)
	tabIndent     = regexp.MustCompile(`(?m)^ *\t\s*[^#\s]`)
	control       = regexp.MustCompile(`[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]`)
)

// syntaxProblem says what the YAML parser found. The parser gives the line
// where the construct begins that it could not finish, or none for the first
// one; two frequent faults are looked for, to point at them exactly.
func syntaxProblem(data []byte, err error) *Problem {
	if at := control.FindIndex(data); at != nil {
		return &Problem{Line: lineOf(data, at[0]), Message: "YAML syntax: a control character: remove it"}
	}
	if at := tabIndent.FindIndex(data); at != nil {
		return &Problem{Line: lineOf(data, at[0]), Message: "YAML syntax: a tab indents this line: use spaces"}
	}
	if m := unknownAnchor.FindStringSubmatch(err.Error()); m != nil {
		at := max(0, bytes.Index(data, []byte("*"+m[1])))
		return &Problem{Line: lineOf(data, at), Message: fmt.Sprintf("YAML syntax: the alias *%s comes before any &%s: define it above", m[1], m[1])}
	}
	p := &Problem{Line: 1, Message: "YAML syntax: " + strings.TrimPrefix(err.Error(), "yaml: ")}
	if m := yamlError.FindStringSubmatch(err.Error()); m != nil {
		p.Message = "YAML syntax: " + m[2] + ": check the indentation, colons and quotes here and below"
		if line, err := strconv.Atoi(m[1]); err == nil {
			p.Line = line
			if strings.HasPrefix(m[2], "did not find expected ") {
				p.Line++ // such errors of the parser count lines from 0
			}
		}
	}
	return p
}

func lineOf(data []byte, offset int) int {
	return 1 + bytes.Count(data[:offset], []byte("\n"))
}

func invalidUTF8(data []byte) int {
	offset := 0
	for offset < len(data) {
		r, size := utf8.DecodeRune(data[offset:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		offset += size
	}
	return offset
}

// complete fills in the values that follow from others.
func complete(c *Config) {
	for _, s := range c.servers() {
		if s.InternalURL == "" {
			s.InternalURL = s.URL
		}
	}
	for i := range c.Pools {
		container := &c.Pools[i].Container
		container.Privileged = container.Privileged || container.DockerAccess == DockerDind
	}
}
