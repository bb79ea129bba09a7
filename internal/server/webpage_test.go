package server

import (
	"encoding/xml"
	"errors"
	"io"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// element is an element of a page.
type element struct {
	name     string
	attr     map[string]string
	text     string // of itself and all within
	children []*element
}

// parsePage reads a page, which has to be well-formed, and in which an id is
// there once and everything that is named by one exists.
func parsePage(t *testing.T, w *httptest.ResponseRecorder) *element {
	t.Helper()
	root := &element{}
	stack := []*element{root}
	ids := make(map[string]bool)
	var named []string
	d := xml.NewDecoder(strings.NewReader(w.Body.String()))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("not well-formed: %v\n%s", err, w.Body)
		}
		switch token := token.(type) {
		case xml.StartElement:
			e := &element{name: token.Name.Local, attr: make(map[string]string)}
			for _, a := range token.Attr {
				e.attr[a.Name.Local] = a.Value
				if a.Name.Local == "for" || strings.HasPrefix(a.Name.Local, "aria-") && strings.HasSuffix(a.Name.Local, "by") {
					named = append(named, strings.Fields(a.Value)...)
				}
			}
			if id := e.attr["id"]; id != "" && ids[id] {
				t.Errorf("two elements have the id %q", id)
			} else if id != "" {
				ids[id] = true
			}
			top := stack[len(stack)-1]
			top.children = append(top.children, e)
			stack = append(stack, e)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.CharData:
			for _, e := range stack {
				e.text += string(token)
			}
		}
	}
	for _, id := range named {
		if !ids[id] {
			t.Errorf("nothing has the id %q", id)
		}
	}
	return root
}

// find lists the elements of a name that have the attributes, given in turn.
func (e *element) find(name string, attr ...string) []*element {
	var found []*element
	for _, c := range e.children {
		matches := c.name == name
		for pair := range slices.Chunk(attr, 2) {
			matches = matches && c.attr[pair[0]] == pair[1]
		}
		if matches {
			found = append(found, c)
		}
		found = append(found, c.find(name, attr...)...)
	}
	return found
}

// input returns the value of a field of a page's form.
func (e *element) input(t *testing.T, name string) string {
	t.Helper()
	found := e.find("input", "name", name)
	if len(found) != 1 {
		t.Fatalf("%d inputs %s", len(found), name)
	}
	return found[0].attr["value"]
}

// rows returns the cells of a page's tables, a line for each row.
func (e *element) rows() []string {
	var lines []string
	for _, body := range e.find("tbody") {
		for _, row := range body.find("tr") {
			var cells []string
			for _, c := range row.children {
				cells = append(cells, c.text)
			}
			lines = append(lines, strings.Join(cells, "|"))
		}
	}
	return lines
}
