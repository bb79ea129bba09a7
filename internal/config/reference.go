package config

import (
	"fmt"
	"reflect"
	"strings"
)

// Setting describes one key of the configuration file, for people. Default and
// Meaning have some Markdown in them: what stands in backquotes is a value.
type Setting struct {
	Path    string // from the top, as in pools[].container.memory
	Kind    string // of the value, as in duration
	Default string // "required" if there is none, or empty
	Meaning string
}

// ValueFormats says how values are written, in Markdown.
const ValueFormats = "A duration is a number and a unit (`ms`, `s`, `m`, `h`), like `30s` or `1h30m`. " +
	"A size is a number of bytes, or a number and a unit in powers of 1024 (`k`, `m`, `g`), like `512m`. " +
	"Text that YAML would take for something else needs quotes.\n"

// Settings returns all keys, a mapping's after the mapping itself.
func Settings() []Setting { return settingsOf(reflect.TypeFor[Config]()) }

// SecretSettings returns the keys of a secret.
func SecretSettings() []Setting { return settingsOf(reflect.TypeFor[secretKeys]()) }

func settingsOf(t reflect.Type) []Setting {
	var all []Setting
	walk(t, "", func(path string, k key) {
		all = append(all, Setting{Path: path, Kind: k.kind(), Default: k.defaultText(), Meaning: k.meaning()})
	})
	return all
}

// Reference returns a description of all keys in Markdown: one table for the
// file and one for secrets, with the path, type, default and meaning of each
// key.
func Reference() string {
	var b strings.Builder
	table := func(settings []Setting) {
		b.WriteString("| Key | Type | Default | Meaning |\n| --- | --- | --- | --- |\n")
		for _, s := range settings {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", s.Path, cell(s.Kind), cell(s.Default), cell(s.Meaning))
		}
	}
	table(Settings())
	b.WriteString("\nA secret is a mapping with exactly one of these keys. A secret that is written in the file itself is refused.\n\n")
	table(SecretSettings())
	b.WriteString("\n" + ValueFormats)
	return b.String()
}

// defaultText is the default as it stands in the reference.
func (k key) defaultText() string {
	switch {
	case k.required:
		return "required"
	case !k.hasDefault:
		return ""
	case k.def == "":
		return "empty"
	}
	return "`" + k.def + "`"
}

// meaning is the key's description with its bounds and example.
func (k key) meaning() string {
	text := k.doc
	if k.rule != "" {
		text += " Allowed: " + k.rule + "."
	}
	if k.typ.Kind() == reflect.Slice && len(k.enum) > 0 {
		text += " Allowed: " + strings.Join(k.enum, ", ") + "."
	}
	switch {
	case k.min != "" && k.max != "":
		text += fmt.Sprintf(" From %s to %s.", k.min, k.max)
	case k.min != "" && k.min != "0" && k.min != "0s" && k.min != "-1":
		text += fmt.Sprintf(" At least %s.", k.min)
	}
	if k.restart {
		text += " A change takes effect after a restart."
	}
	if k.example != "" {
		text += " Example: `" + k.example + "`"
	}
	return text
}

// cell makes text safe for a cell of a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", "\\|") }
