package config

import (
	"strings"

	"gopkg.in/yaml.v3"
)

// pair is one key of a mapping and its value.
type pair struct {
	name  string
	line  int
	value *yaml.Node
	first int // for a key that is set again: the line where it was first set
}

// follow returns the node that an alias stands for, or n itself. ok is false
// if n must not be decoded; a problem is then recorded. done must be called
// once the node has been decoded.
func (d *decoder) follow(n *yaml.Node, path string) (target *yaml.Node, done func(), ok bool) {
	d.nodes++
	if d.nodes > maxNodes {
		if !d.full {
			d.full = true
			d.report(path, "the file comes to more than %d values: use fewer aliases", maxNodes)
		}
		return nil, nil, false
	}
	if n.Kind != yaml.AliasNode {
		return n, func() {}, true
	}
	target = n.Alias
	if d.following[target] {
		d.report(path, "the alias *%s contains itself", n.Value)
		return nil, nil, false
	}
	d.following[target] = true
	return target, func() { delete(d.following, target) }, true
}

// pairs returns the keys of a mapping in order, those of its merge keys (<<)
// after its own. A key that is set twice is a problem; the first one counts.
func (d *decoder) pairs(n *yaml.Node, path string) []pair {
	var unique []pair
	for _, p := range d.allPairs(n, path) {
		if p.first != 0 {
			d.duplicate(p, path)
			continue
		}
		unique = append(unique, p)
	}
	return unique
}

func (d *decoder) duplicate(p pair, path string) {
	d.reportAt(p.line, join(path, p.name), "duplicate key %q, first set in line %d: remove one of them", p.name, p.first)
}

// allPairs is pairs with the duplicates among them.
func (d *decoder) allPairs(n *yaml.Node, path string) []pair {
	d.nodes += len(n.Content) / 2
	var own, merged []pair
	lines := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		line := k.Line
		if k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		switch {
		case k.Kind != yaml.ScalarNode:
			d.reportAt(line, path, "a key must be a word, found %s", found(k))
		case k.ShortTag() == "!!merge":
			merged = append(merged, d.merge(v, path, line)...)
		default:
			own = append(own, pair{k.Value, line, v, lines[k.Value]})
			if lines[k.Value] == 0 {
				lines[k.Value] = line
			}
		}
	}
	for _, p := range merged {
		if lines[p.name] == 0 {
			lines[p.name] = p.line
			own = append(own, p)
		}
	}
	return own
}

// merge returns the pairs that a merge key brings in.
func (d *decoder) merge(n *yaml.Node, path string, line int) []pair {
	target, done, ok := d.follow(n, path)
	if !ok {
		return nil
	}
	defer done()
	switch target.Kind {
	case yaml.MappingNode:
		return d.allPairs(target, path)
	case yaml.SequenceNode:
		var all []pair
		for _, item := range target.Content {
			all = append(all, d.merge(item, path, line)...)
		}
		return all
	}
	d.reportAt(line, path, "the merge key << takes a mapping, as in <<: *NAME, found %s", found(target))
	return nil
}

// document decodes the free-form mapping of a runner_config.
func (d *decoder) document(n *yaml.Node, k key, path string) {
	if n.Kind != yaml.MappingNode {
		d.report(path, "expected %s, found %s", k.expected(), found(n))
		return
	}
	d.documents[path] = d.object(n, path)
}

func (d *decoder) object(n *yaml.Node, path string) map[string]any {
	out := map[string]any{}
	for _, p := range d.pairs(n, path) {
		at := join(path, p.name)
		d.lines[at] = p.line
		out[p.name] = d.any(p.value, at)
	}
	return out
}

// any decodes a node of any form.
func (d *decoder) any(n *yaml.Node, path string) any {
	n, done, ok := d.follow(n, path)
	if !ok {
		return nil
	}
	defer done()
	switch n.Kind {
	case yaml.MappingNode:
		return d.object(n, path)
	case yaml.SequenceNode:
		out := make([]any, len(n.Content))
		for i, item := range n.Content {
			out[i] = d.any(item, path)
		}
		return out
	}
	var v any
	if err := n.Decode(&v); err != nil {
		d.report(path, "%s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	return v
}
