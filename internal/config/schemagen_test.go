package config

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/invopop/jsonschema"
	"gopkg.in/yaml.v3"
)

// generateSchema makes what Schema returns from the types of the configuration.
// The program has the result only: what makes it would be a fiftieth of it.
func generateSchema() ([]byte, error) {
	r := jsonschema.Reflector{
		Anonymous: true, DoNotReference: true, FieldNameTag: "yaml",
		RequiredFromJSONSchemaTags: true, Mapper: mapped,
	}
	s := r.ReflectFromType(reflect.TypeFor[Config]())
	s.Title = "Configuration of scaler"
	if err := annotate(s, reflect.TypeFor[Config]()); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return nil, fmt.Errorf("encode schema: %w", err)
	}
	return out.Bytes(), nil
}

// mapped gives the schema of the types that stand in the file as something
// else than their Go kind.
func mapped(t reflect.Type) *jsonschema.Schema {
	switch t {
	case durationType:
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
			{Type: "string", Pattern: `^[-+]?(0|([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$`},
			{Const: json.Number("0")},
		}}
	case scopeType:
		return &jsonschema.Schema{Type: "string", Pattern: `^(instance|(org|user):[^/]+|repo:[^/]+/[^/]+)$`}
	case labelType:
		return &jsonschema.Schema{Type: "string", Pattern: `^[^,:]+(:host|:docker:.+)?$`}
	case levelType, cronType, timezoneType:
		return &jsonschema.Schema{Type: "string"}
	case runnerConfigType:
		return &jsonschema.Schema{Type: "object"}
	case spaceType:
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "string", Pattern: spacePattern}, {Type: "integer", Minimum: json.Number("0")}}}
	case portionType:
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "string", Pattern: portionPattern}, {Type: "integer", Minimum: json.Number("1")}}}
	case idleType:
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Const: autoIdle}, {Type: "integer", Minimum: json.Number("0")}}}
	case valueType:
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "string"}, mapped(secretType)}}
	case secretType:
		one := uint64(1)
		r := jsonschema.Reflector{Anonymous: true, DoNotReference: true, FieldNameTag: "yaml", RequiredFromJSONSchemaTags: true}
		s := r.ReflectFromType(reflect.TypeFor[secretKeys]())
		s.Version, s.MinProperties, s.MaxProperties = "", &one, &one
		return s
	}
	return nil
}

// annotate adds to the schema of a mapping what the tags of its keys say.
func annotate(s *jsonschema.Schema, t reflect.Type) error {
	for _, k := range keysOf(t) {
		property, ok := s.Properties.Get(k.name)
		if !ok {
			return fmt.Errorf("generate schema: %s has no property %s", t, k.name)
		}
		if k.required {
			s.Required = append(s.Required, k.name)
		}
		if err := annotateKey(property, k); err != nil {
			return fmt.Errorf("generate schema of %s: %w", k.name, err)
		}
	}
	return nil
}

func annotateKey(s *jsonschema.Schema, k key) error {
	s.Description = k.doc
	if k.hasDefault {
		if err := yaml.Unmarshal([]byte(k.def), &s.Default); err != nil {
			return err
		}
		if k.def == "" {
			s.Default = ""
		}
	}
	if k.example != "" {
		var example any
		if err := yaml.Unmarshal([]byte(k.example), &example); err != nil {
			return err
		}
		s.Examples = []any{example}
	}
	single := s
	if k.typ.Kind() == reflect.Slice && len(k.enum) > 0 {
		single = s.Items
	}
	for _, value := range k.enum {
		single.Enum = append(single.Enum, value)
	}
	inner := k.typ
	switch inner.Kind() {
	case reflect.Pointer:
		inner = inner.Elem()
	case reflect.Slice:
		if inner == runnerConfigType {
			break
		}
		if k.required {
			one := uint64(1)
			s.MinItems = &one
		}
		inner, s = inner.Elem(), s.Items
	case reflect.Map:
		inner, s = inner.Elem(), s.AdditionalProperties
	}
	switch {
	case inner == secretType:
		return annotate(s, reflect.TypeFor[secretKeys]())
	case inner == valueType:
		return annotate(s.AnyOf[1], reflect.TypeFor[secretKeys]())
	case isMapping(inner):
		return annotate(s, inner)
	}
	constrain(s, k)
	return nil
}

// constrain adds the key's constraints to the schema of one value.
func constrain(s *jsonschema.Schema, k key) {
	s.Pattern = cmp.Or(k.pattern, s.Pattern)
	switch {
	case k.format == "verbatim":
		s.Type = ""
		s.AnyOf = []*jsonschema.Schema{{Type: "string"}, {Type: "number"}, {Type: "boolean"}}
	case k.format == "size":
		s.Type = ""
		s.AnyOf = []*jsonschema.Schema{
			{Type: "string", Pattern: sizePattern},
			{Type: "integer", Minimum: json.Number(k.min)},
		}
	case s.Type == "integer" || s.Type == "number":
		s.Minimum, s.Maximum = json.Number(k.min), json.Number(k.max)
	case k.format == "absolute":
		s.Pattern = "^/"
	case k.format == "url" && k.required:
		s.Pattern = "^https?://"
	case k.format == "url":
		s.Pattern = "^(https?://|$)"
	}
}
