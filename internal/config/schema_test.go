package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"
)

func compileSchema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(Schema))
	if err != nil {
		t.Fatal(err)
	}
	if draft := doc.(map[string]any)["$schema"]; draft != "https://json-schema.org/draft/2020-12/schema" {
		t.Errorf("$schema = %v", draft)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json") // checks it against its own schema too
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// validateYAML validates a YAML text as an editor does.
func validateYAML(s *jsonschema.Schema, text string) error {
	var doc any
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		return err
	}
	return s.Validate(doc)
}

// TestSchemaIsCurrent holds the schema to the types that it is of.
func TestSchemaIsCurrent(t *testing.T) {
	const path = "schema.json"
	want, err := generateSchema()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if Schema != string(want) {
		t.Errorf("%s is not current: run go test ./internal/config -update", path)
	}
}

func TestSchemaAccepts(t *testing.T) {
	s := compileSchema(t)
	everyKey, err := os.ReadFile(filepath.Join("testdata", "every-key.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"the example": example(t, "scaler.yaml"), "the shortest": example(t, "minimal.yaml"), "every key": string(everyKey),
	} {
		if err := validateYAML(s, text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSchemaRejects(t *testing.T) {
	s := compileSchema(t)
	for _, name := range []string{
		"unknown-keys", "wrong-types", "nothing-required-there", "not-a-mapping", "enums", "names", "null-values",
		"numbers-out-of-range", "durations", "secret-inline", "secret-references", "registry-auth", "url-scheme", "empty-lists",
		"labels", "paths", "no-labels", "schedule-windows",
	} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("testdata", "bad", name+".yaml"))
			if err != nil {
				t.Fatal(err)
			}
			if err := validateYAML(s, string(text)); err == nil {
				t.Error("the schema accepts it")
			}
		})
	}
}

// TestTagsAreComplete holds every field to a key and a description, which the
// schema and the reference show.
func TestTagsAreComplete(t *testing.T) {
	reference := Reference()
	check := func(path string, k key) {
		if k.name == "" || k.doc == "" || !strings.HasSuffix(k.doc, ".") && !strings.HasSuffix(k.doc, ").") {
			t.Errorf("%s: key %q, doc %q", path, k.name, k.doc)
		}
		if k.pattern != "" && k.rule == "" {
			t.Errorf("%s: pattern without rule", path)
		}
		if !strings.Contains(reference, "| `"+path+"` | ") {
			t.Errorf("the reference lacks %s", path)
		}
		if !strings.Contains(Schema, `"`+k.name+`": {`) {
			t.Errorf("the schema lacks %s", path)
		}
	}
	walk(reflect.TypeFor[Config](), "", check)
	walk(reflect.TypeFor[secretKeys](), "", check)
}

// TestReferenceIsATable checks that no cell breaks its row.
func TestReferenceIsATable(t *testing.T) {
	for line := range strings.Lines(Reference()) {
		if strings.HasPrefix(line, "|") && strings.Count(line, "|")-strings.Count(line, `\|`) != 5 {
			t.Errorf("not four cells: %s", line)
		}
	}
}
