package config

import (
	"errors"
	"reflect"

	"gopkg.in/yaml.v3"

	"scaler.io/scaler/internal/plan"
)

// Value is text, or a reference to where the text is kept if it is a secret.
// Neither is shown by printing it: of text nobody knows whether it is secret.
type Value struct {
	text plan.Secret
	ref  *SecretRef // nil if text holds
}

// Read returns the text. A secret is read anew each time, as by
// SecretRef.Read.
func (v Value) Read() (plan.Secret, error) {
	if v.ref != nil {
		return v.ref.Read()
	}
	return v.text, nil
}

// String says where the text is kept, as in "file /etc/scaler/url", or only
// that it is in the configuration.
func (v Value) String() string {
	if v.ref != nil {
		return v.ref.String()
	}
	return "as configured"
}

// textOrSecret decodes a Value.
func (d *decoder) textOrSecret(n *yaml.Node, v reflect.Value, k key, path string) {
	if n.Kind == yaml.MappingNode {
		ref := new(SecretRef)
		d.secret(n, reflect.ValueOf(ref).Elem(), path)
		v.Set(reflect.ValueOf(Value{ref: ref}))
		return
	}
	text, err := "", errors.New("expected "+k.expected()+", found "+found(n))
	if n.Kind == yaml.ScalarNode {
		text, err = k.text(n)
	}
	switch {
	case err != nil:
		d.report(path, "%s", err)
	case text == "":
		d.report(path, "it is empty: expected %s", k.expected())
	default:
		v.Set(reflect.ValueOf(Value{text: plan.Secret(text)}))
	}
}
