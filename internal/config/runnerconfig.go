package config

import (
	"fmt"
	"maps"
	"strings"

	"gopkg.in/yaml.v3"
)

// renderRunnerConfig merges the user's settings with those that the daemon
// depends on. It returns nil if there is a problem.
func renderRunnerConfig(d *decoder, p Pool, path string) RunnerConfig {
	user := d.documents[path]
	runner, log := section(d, user, path, "runner"), section(d, user, path, "log")
	if options, ok := section(d, user, path, "container")["options"]; ok && options != nil {
		if _, isText := options.(string); !isText {
			d.report(join(join(path, "container"), "options"), "expected text, as on the command line of docker create")
		}
	}
	for _, own := range []struct{ name, why string }{
		{"file", "the daemon puts the runner's identity into .runner in container.data_dir: remove it"},
		{"capacity", "each runner takes one job at a time; the number of runners is set by the pool's max: remove it"},
		{"labels", "they would replace the pool's labels at every start: remove it and set the pool's labels"},
		{"shutdown_timeout", "the daemon relies on the pool's own: remove it and set the pool's shutdown_timeout"},
	} {
		if _, ok := runner[own.name]; ok {
			d.report(join(join(path, "runner"), own.name), "%s", own.why)
		}
	}
	if !d.ok(path) {
		return nil
	}
	merged := map[string]any{}
	maps.Copy(merged, user)
	merged["log"] = overlay(map[string]any{"level": "info"}, log)
	merged["runner"] = overlay(runner, map[string]any{
		"file":             ".runner",
		"capacity":         1,
		"shutdown_timeout": p.ShutdownTimeout.String(),
	})
	out, err := yaml.Marshal(merged)
	if err != nil {
		d.report(path, "it cannot be written as YAML: %s", err)
		return nil
	}
	return out
}

// WithJobOptions returns the document with options of the docker command line
// put before those that the user gives the job containers, in
// container.options.
func (c RunnerConfig) WithJobOptions(options string) ([]byte, error) {
	var doc map[string]any
	if err := yaml.Unmarshal(c, &doc); err != nil {
		return nil, fmt.Errorf("read runner_config: %w", err)
	}
	container, _ := doc["container"].(map[string]any)
	if user, ok := container["options"].(string); ok {
		options = strings.TrimSpace(options + " " + user)
	}
	doc["container"] = overlay(container, map[string]any{"options": options})
	out, err := yaml.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("write runner_config: %w", err)
	}
	return out, nil
}

// LogLevel returns log.level in lower case, empty if there is none.
func (c RunnerConfig) LogLevel() string {
	var doc struct {
		Log struct {
			Level string `yaml:"level"`
		} `yaml:"log"`
	}
	if yaml.Unmarshal(c, &doc) != nil {
		return "" // it was checked before
	}
	return strings.ToLower(doc.Log.Level)
}

// section returns a mapping within the user's settings; one that is missing
// or empty is nil.
func section(d *decoder, user map[string]any, path, name string) map[string]any {
	value, ok := user[name]
	if !ok || value == nil {
		return nil
	}
	mapping, ok := value.(map[string]any)
	if !ok {
		d.report(join(path, name), "expected a mapping, as in the runner's own configuration file")
	}
	return mapping
}

// overlay returns the lower mapping with the upper one's keys put over it.
func overlay(lower, upper map[string]any) map[string]any {
	out := map[string]any{}
	maps.Copy(out, lower)
	maps.Copy(out, upper)
	return out
}
