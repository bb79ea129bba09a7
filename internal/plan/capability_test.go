package plan

import (
	"reflect"
	"strings"
	"testing"
)

// TestEachCapabilityIsExplained: a capability has one field, by the name that
// programs read, and one feature that says all that people want to know of it.
func TestEachCapabilityIsExplained(t *testing.T) {
	var all Capabilities
	for _, f := range Features() {
		if all.Has(f.Capability) {
			t.Errorf("%s is explained twice", f.Capability)
		}
		all.Set(f.Capability, true)
		if !all.Has(f.Capability) {
			t.Errorf("%s has no field", f.Capability)
		}
		if f.What == "" || f.Instead == "" {
			t.Errorf("%s is not explained: %+v", f.Capability, f)
		}
	}
	v := reflect.ValueOf(all)
	for i := range v.NumField() {
		if v.Field(i).Kind() != reflect.Bool {
			continue
		}
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if !v.Field(i).Bool() || !all.Has(Capability(name)) {
			t.Errorf("field %s, which programs read as %q, is no capability that is explained", v.Type().Field(i).Name, name)
		}
	}
	if all.Has("fly") {
		t.Error("it can fly")
	}
}

// TestFull: a server is full once no release of its product can do more.
func TestFull(t *testing.T) {
	for _, p := range []Product{ProductGitea, ProductForgejo} {
		newest := Capabilities{Product: p}
		for _, f := range Features() {
			newest.Set(f.Capability, f.Since(p) != "")
		}
		if !newest.Full() {
			t.Errorf("the newest %s is not full", p)
		}
		for _, f := range Features() {
			if f.Since(p) == "" {
				continue
			}
			lacks := newest
			if lacks.Set(f.Capability, false); lacks.Full() {
				t.Errorf("%s without %s is full", p, f.Capability)
			}
		}
	}
}

func TestSummary(t *testing.T) {
	for want, caps := range map[string]Capabilities{
		"Gitea 1.26.0": {Product: ProductGitea, Version: "1.26.0", Jobs: true, RunningNamesRunner: true, JobEvents: true, Runners: true, Delete: true, Disable: true, Ephemeral: true},
		"Gitea 1.25.5, which cannot disable runners": {Product: ProductGitea, Version: "1.25.5", Jobs: true, RunningNamesRunner: true, JobEvents: true, Runners: true, Delete: true, Ephemeral: true},
	} {
		if got := caps.Summary(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
