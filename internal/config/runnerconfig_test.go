package config

import (
	"testing"

	"gopkg.in/yaml.v3"
)

func TestWithJobOptions(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"no container section": {"runner: {capacity: 1}\n", "--label a=b"},
		"no options":           {"container: {network: host}\n", "--label a=b"},
		"options of the user":  {"container: {options: --memory 1g --label x=y}\n", "--label a=b --memory 1g --label x=y"},
		"empty options":        {"container: {options: ''}\n", "--label a=b"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			out, err := RunnerConfig(tt.in).WithJobOptions("--label a=b")
			if err != nil {
				t.Fatal(err)
			}
			var before, after map[string]map[string]any
			if err := yaml.Unmarshal([]byte(tt.in), &before); err != nil {
				t.Fatal(err)
			}
			if err := yaml.Unmarshal(out, &after); err != nil {
				t.Fatal(err)
			}
			if got := after["container"]["options"]; got != tt.want {
				t.Errorf("options %q, want %q", got, tt.want)
			}
			for section, keys := range before {
				for key, value := range keys {
					if key != "options" && after[section][key] != value {
						t.Errorf("%s.%s = %v, want %v", section, key, after[section][key], value)
					}
				}
			}
		})
	}
}
