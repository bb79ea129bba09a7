package realgitea

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// Binary is a server's program.
type Binary struct {
	Profile string // its release, such as "gitea-1.24" or "forgejo-15"
	Path    string
	Static  string // directory of its templates and options; empty: they are inside
}

// Binaries are the servers that SCALER_SERVER_BINS names, a list of
// PROFILE=BINARY[,STATIC] separated by spaces. Without any the test is
// skipped.
func Binaries(t testing.TB) []Binary {
	t.Helper()
	all, err := parseBinaries(os.Getenv("SCALER_SERVER_BINS"))
	if err != nil {
		t.Fatalf("SCALER_SERVER_BINS: %v", err)
	}
	if len(all) == 0 {
		t.Skip("SCALER_SERVER_BINS does not name a server: PROFILE=BINARY[,STATIC] ...")
	}
	return all
}

// ByProfile returns the server of a profile that SCALER_SERVER_BINS names.
// Without it the test is skipped.
func ByProfile(t testing.TB, profile string) Binary {
	t.Helper()
	for _, b := range Binaries(t) {
		if b.Profile == profile {
			return b
		}
	}
	t.Skipf("SCALER_SERVER_BINS does not name a server of %s", profile)
	return Binary{}
}

func parseBinaries(text string) ([]Binary, error) {
	var all []Binary
	for entry := range strings.FieldsSeq(text) {
		profile, program, ok := strings.Cut(entry, "=")
		path, static, _ := strings.Cut(program, ",")
		if !ok || profile == "" || path == "" {
			return nil, fmt.Errorf("%q: want PROFILE=BINARY[,STATIC]", entry)
		}
		all = append(all, Binary{profile, path, static})
	}
	return all, nil
}

// Default is the Gitea that SCALER_GITEA_BIN names, and SCALER_GITEA_STATIC may
// name the directory of its templates and options. Without it the test is
// skipped.
func Default(t testing.TB) Binary {
	t.Helper()
	path := os.Getenv("SCALER_GITEA_BIN")
	if path == "" {
		t.Skip("SCALER_GITEA_BIN does not name a Gitea binary")
	}
	return Binary{Profile: "gitea", Path: path, Static: os.Getenv("SCALER_GITEA_STATIC")}
}
