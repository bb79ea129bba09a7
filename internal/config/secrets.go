package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// UsedSecret is a secret that a configuration refers to.
type UsedSecret struct {
	Path string // of the key, as in gitea.api_token
	Ref  SecretRef
}

// File returns the file that the secret is in, and false if it is kept
// elsewhere.
func (r SecretRef) File() (path string, ok bool) { return r.name, r.kind == secretFile }

// Secrets returns all secrets that the configuration refers to, in the order of
// its keys.
func (c *Config) Secrets() []UsedSecret {
	var found []UsedSecret
	collectSecrets(reflect.ValueOf(c), "", &found)
	return found
}

func collectSecrets(v reflect.Value, path string, found *[]UsedSecret) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			collectSecrets(v.Elem(), path, found)
		}
	case reflect.Slice:
		for i := range v.Len() {
			collectSecrets(v.Index(i), fmt.Sprintf("%s[%d]", path, i), found)
		}
	case reflect.Map:
		for _, name := range slices.SortedFunc(slices.Values(v.MapKeys()), func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) }) {
			collectSecrets(v.MapIndex(name), join(path, name.String()), found)
		}
	case reflect.Struct:
		if value, ok := reflect.TypeAssert[Value](v); ok {
			if value.ref != nil {
				*found = append(*found, UsedSecret{path, *value.ref})
			}
			return
		}
		if ref, ok := reflect.TypeAssert[SecretRef](v); ok {
			if ref.kind != "" {
				*found = append(*found, UsedSecret{path, ref})
			}
			return
		}
		for f, field := range v.Fields() {
			if f.Anonymous {
				collectSecrets(field, path, found)
				continue
			}
			if name, _, _ := strings.Cut(f.Tag.Get("yaml"), ","); name != "" {
				collectSecrets(field, strings.TrimPrefix(path+"."+name, "."), found)
			}
		}
	}
}
