package config

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// FuzzLoad: whatever the file holds, the outcome is a configuration that the
// schema accepts too, or problems that each have a line and a message.
func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "bad", "*.yaml"))
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range append(files, filepath.Join("testdata", "every-key.yaml")) {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(minimal))
	schema := compileSchema(f)
	f.Setenv("SCALER_TEST_TOKEN", "t0ken")
	f.Setenv("SCALER_TEST_URL", "https://hooks.example.com/services/1")
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("fuzz.yaml", data)
		if err == nil {
			if c == nil || len(c.Pools) == 0 && c.Gateway == nil || len(c.RegistrationTokens) == 0 || c.Gitea.URL == "" {
				t.Fatalf("accepted: %+v", c)
			}
			if err := validateYAML(schema, string(data)); err != nil {
				t.Fatalf("the schema is stricter: %v\n%s", err, data)
			}
			return
		}
		var problems Problems
		if !errors.As(err, &problems) || len(problems) == 0 {
			t.Fatalf("err = %v; want Problems", err)
		}
		for _, p := range problems {
			if p.Line < 1 || p.Message == "" {
				t.Errorf("problem without line or message: %+v", p)
			}
		}
	})
}
