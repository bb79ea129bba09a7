package config

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/docker/go-units"
	"gopkg.in/yaml.v3"

	"scaler.io/scaler/internal/plan"
)

// scalarParser returns the function that reads a scalar of the key, or nil if
// the key's value is a mapping or a list. Its errors say what is wrong and
// what would be right, and are safe to show for a secret's keys.
//
// The formats are
//
//	absolute  an absolute path, which is cleaned
//	file      a path, relative ones starting at the file's directory
//	listen    HOST:PORT to listen on
//	network   an IP network or address
//	image     an image name, completed with :latest
//	size      bytes, as a number or with a unit (powers of 1024)
//	url       an http or https base URL, without the slash at its end
//	verbatim  any scalar, taken as it is written
func (d *decoder) scalarParser(k key) func(*yaml.Node) (any, error) {
	switch k.typ {
	case durationType:
		return k.parseDuration
	case scopeType:
		return textParser(k, plan.ParseScope)
	case labelType:
		return textParser(k, plan.ParseLabel)
	case levelType:
		return textParser(k, k.parseLevel)
	case spaceType:
		return k.parseSpace
	case portionType:
		return k.parsePortion
	case idleType:
		return k.parseIdle
	case cronType:
		return textParser(k, parseCron)
	case timezoneType:
		return textParser(k, parseTimezone)
	}
	switch k.typ.Kind() {
	case reflect.String:
		return d.stringParser(k)
	case reflect.Bool:
		return k.parseBool
	case reflect.Int, reflect.Int64:
		if k.format == "size" {
			return k.parseSize
		}
		return k.parseInt
	case reflect.Float64:
		return k.parseFloat
	}
	return nil
}

// text returns the scalar's text if it is text by YAML's rules.
func (k key) text(n *yaml.Node) (string, error) {
	tag := n.ShortTag()
	if k.format == "verbatim" && slices.Contains([]string{"!!int", "!!float", "!!bool", "!!timestamp"}, tag) {
		return n.Value, nil
	}
	if tag == "!!str" {
		return n.Value, nil
	}
	if k.kind() == "text" {
		return "", fmt.Errorf("expected %s, found %s: write it in quotes", k.expected(), found(n))
	}
	return "", fmt.Errorf("expected %s, found %s", k.expected(), found(n))
}

// found names what stands in the file, for messages.
func found(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!str":
		return "text"
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "true or false"
	case "!!null":
		return "nothing"
	case "!!timestamp":
		return "a date"
	}
	return "a value with a tag of its own"
}

// foundValue is found with the value itself, for keys that hold no text.
func foundValue(n *yaml.Node) string {
	if n.ShortTag() == "!!str" {
		return fmt.Sprintf("the text %q", n.Value)
	}
	return n.Value
}

func textParser[T any](k key, parse func(string) (T, error)) func(*yaml.Node) (any, error) {
	return func(n *yaml.Node) (any, error) {
		s, err := k.text(n)
		if err != nil {
			return nil, err
		}
		return parse(s)
	}
}

func (d *decoder) stringParser(k key) func(*yaml.Node) (any, error) {
	return textParser(k, func(s string) (string, error) {
		switch {
		case strings.ContainsRune(s, 0):
			return "", errors.New("the text contains a NUL character: remove it")
		case s == "" && k.required:
			return "", fmt.Errorf("it is empty: expected %s", k.expected())
		case len(k.enum) > 0:
			return s, k.oneOf(s)
		case s == "" && k.format != "absolute":
			return "", nil
		case k.pattern != "" && !regexp.MustCompile(k.pattern).MatchString(s):
			return "", fmt.Errorf("it must be %s", k.rule)
		}
		switch k.format {
		case "absolute":
			if !filepath.IsAbs(s) {
				return "", fmt.Errorf("expected an absolute path, like %s, found %q", strings.Trim(k.def, "[]"), s)
			}
			return filepath.Clean(s), nil
		case "file":
			if !filepath.IsAbs(s) {
				s = filepath.Join(d.dir, s)
			}
			return filepath.Clean(s), nil
		case "image":
			return parseImage(s)
		case "url":
			return parseURL(s)
		case "listen":
			return s, checkListen(s)
		case "network":
			_, err := parseNetwork(s)
			return s, err
		}
		return s, nil
	})
}

// oneOf checks an enumerated value.
func (k key) oneOf(s string) error {
	if slices.Contains(k.enum, s) {
		return nil
	}
	if near, ok := nearest(s, k.enum); ok {
		return fmt.Errorf("%q is not known; did you mean %q?", s, near)
	}
	return fmt.Errorf("%q is not known: expected %s", s, k.expected())
}

func (k key) parseLevel(s string) (level slog.Level, err error) {
	if err := k.oneOf(s); err != nil {
		return 0, err
	}
	return level, level.UnmarshalText([]byte(s))
}

func parseImage(s string) (string, error) {
	named, err := reference.ParseNormalizedNamed(s)
	if err != nil {
		return "", fmt.Errorf("image %q: %w: write [REGISTRY/]NAME[:TAG], like gitea/runner:latest", s, err)
	}
	return reference.FamiliarString(reference.TagNameOnly(named)), nil
}

func (k key) parseDuration(n *yaml.Node) (any, error) {
	v, err := time.ParseDuration(n.Value)
	switch tag := n.ShortTag(); {
	case tag == "!!int" && err != nil:
		return nil, fmt.Errorf("a duration needs a unit: write %ss or %sm", n.Value, n.Value)
	case tag != "!!str" && tag != "!!int":
		return nil, fmt.Errorf("expected %s, found %s", k.expected(), foundValue(n))
	case err != nil:
		return nil, fmt.Errorf("%q is not a duration: write a number and a unit (ms, s, m, h), like 30s or 1h30m", n.Value)
	}
	return v, bounds(k, v, time.ParseDuration)
}

func (k key) parseBool(n *yaml.Node) (any, error) {
	var v bool
	if n.ShortTag() != "!!bool" || n.Decode(&v) != nil {
		return nil, fmt.Errorf("expected true or false, without quotes, found %s", foundValue(n))
	}
	return v, nil
}

func (k key) parseInt(n *yaml.Node) (any, error) {
	var v int64
	if n.ShortTag() != "!!int" {
		return nil, fmt.Errorf("expected %s, without quotes, found %s", k.expected(), foundValue(n))
	}
	if n.Decode(&v) != nil {
		return nil, fmt.Errorf("%s is out of range", n.Value)
	}
	return v, bounds(k, v, parseInt64)
}

func parseInt64(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) }

func (k key) parseFloat(n *yaml.Node) (any, error) {
	var v float64
	tag := n.ShortTag()
	if tag != "!!int" && tag != "!!float" || n.Decode(&v) != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return nil, fmt.Errorf("expected %s, without quotes, found %s", k.expected(), foundValue(n))
	}
	return v, bounds(k, v, func(s string) (float64, error) { return strconv.ParseFloat(s, 64) })
}

func (k key) parseSize(n *yaml.Node) (any, error) {
	v, err := parseSize(n.Value)
	switch tag := n.ShortTag(); {
	case tag != "!!str" && tag != "!!int":
		return nil, fmt.Errorf("expected %s, found %s", k.expected(), foundValue(n))
	case err != nil:
		return nil, fmt.Errorf("%q is not a size: write a number of bytes, or one with a unit (k, m, g), like 512m or 4g", n.Value)
	}
	return v, bounds(k, v, parseSize)
}

const sizePattern = `^(-1|[0-9]+(\.[0-9]+)? ?([kKmMgGtTpP]([iI]?[bB])?|[bB])?)$`

func parseSize(s string) (int64, error) {
	switch {
	case s == "-1":
		return -1, nil
	case !regexp.MustCompile(sizePattern).MatchString(s):
		return 0, errors.New("no size")
	}
	v, err := units.RAMInBytes(s)
	if err == nil && v < 0 {
		err = errors.New("out of range")
	}
	return v, err
}

// bounds holds v to the key's min and max, which are written as v itself.
func bounds[T int64 | float64 | time.Duration](k key, v T, parse func(string) (T, error)) error {
	if limit, err := parse(k.min); err == nil && v < limit {
		return fmt.Errorf("%v is too small: it must be at least %s", v, k.min)
	}
	if limit, err := parse(k.max); err == nil && v > limit {
		return fmt.Errorf("%v is too large: it must be at most %s", v, k.max)
	}
	return nil
}
