package packaging

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"scaler.io/scaler/internal/plan"
)

// The receiver's check that docs/notifications.md shows takes what is genuine,
// and nothing else.
func TestSignatureCheckInDocumentsWorks(t *testing.T) {
	python := needs(t, "python3")
	found := blocks(t, "python")["docs/notifications.md"]
	if len(found) != 1 {
		t.Fatalf("%d examples in Python", len(found))
	}
	const stamp, body = "1772366400", `{"id":"1","events":[]}`
	mac := hmac.New(sha256.New, []byte("0123456789abcdef"))
	mac.Write([]byte(stamp + "." + body))
	signature := "sha256=" + hex.EncodeToString(mac.Sum(nil))
	script := filepath.Join(t.TempDir(), "check.py")
	if err := os.WriteFile(script, []byte(found[0]+`
import sys
secret, stamp, signature, body, now = sys.argv[1:]
print(genuine(secret.encode(), stamp, signature, body.encode(), now=int(now)))
`), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct{ secret, stamp, signature, body, now, want string }{
		"genuine":        {"0123456789abcdef", stamp, signature, body, "1772366410", "True"},
		"another body":   {"0123456789abcdef", stamp, signature, body + " ", "1772366410", "False"},
		"another secret": {"0123456789abcdeg", stamp, signature, body, "1772366410", "False"},
		"another time":   {"0123456789abcdef", "1772366401", signature, body, "1772366410", "False"},
		"sent again":     {"0123456789abcdef", stamp, signature, body, "1772367000", "False"},
		"not signed":     {"0123456789abcdef", stamp, "", body, "1772366410", "False"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			out, err := exec.Command(python, script, tt.secret, tt.stamp, tt.signature, tt.body, tt.now).CombinedOutput()
			if err != nil || strings.TrimSpace(string(out)) != tt.want {
				t.Errorf("%s, %v, want %s", out, err, tt.want)
			}
		})
	}
}

// What the document shows as the body of a message is one.
func TestMessageInDocumentsIsOne(t *testing.T) {
	found := blocks(t, "json")["docs/notifications.md"]
	if len(found) != 1 {
		t.Fatalf("%d examples in JSON", len(found))
	}
	var n plan.Notice
	dec := json.NewDecoder(strings.NewReader(found[0]))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&n); err != nil || len(n.Events) != 1 || n.Host == "" || n.Events[0].Pool == "" {
		t.Errorf("%+v, %v", n, err)
	}
}

// The table of events says of each what the code does.
func TestEventsInDocumentsExist(t *testing.T) {
	code := read(t, "internal/plan/event.go")
	documented := firstColumn(t, "docs/notifications.md", "What is told")
	for _, kind := range documented {
		if !strings.Contains(code, `"`+kind+`"`) {
			t.Errorf("docs/notifications.md: there is no event %s", kind)
		}
	}
	if defined := strings.Count(code, `EventKind = "`); defined != len(documented) {
		t.Errorf("docs/notifications.md has %d events, there are %d", len(documented), defined)
	}
}

// The table of the formats ends with the one that the code writes.
func TestFormatsInDocumentsAreCurrent(t *testing.T) {
	code := read(t, "internal/state/format.go")
	rows := 0
	for line := range strings.Lines(read(t, "docs/upgrading.md")) {
		if len(line) > 4 && strings.HasPrefix(line, "| ") && line[2] >= '1' && line[2] <= '9' {
			rows++
		}
	}
	if !strings.Contains(code, "format         = "+string(rune('0'+rows))+"\n") {
		t.Errorf("docs/upgrading.md describes %d formats, and internal/state has another number", rows)
	}
}
