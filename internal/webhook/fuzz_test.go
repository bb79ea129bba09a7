package webhook

import (
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

// FuzzEvent sends any request. Whatever it is, nothing is taken without the
// signature of its body, and what is taken names a job and its repository.
func FuzzEvent(f *testing.F) {
	real, err := os.ReadFile("testdata/waiting.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range []string{string(real), body(1, "queued"), "{}", "", "[1", `{"action": "queued", "workflow_job": {"created_at": 5}}`} {
		sum := hex.EncodeToString(sign(testSecret, []byte(text)))
		f.Add([]byte(text), sum, "sha256="+sum, "workflow_job", "d-1", true)
		f.Add([]byte(text), "", "sha256="+sum, "workflow_job", "d-1", false)
		f.Add([]byte(text), sum, "", "scaler_ping", "", true)
		f.Add([]byte(text), sum[1:], "", "push", "d-1", false)
	}
	f.Fuzz(func(t *testing.T, text []byte, signature, hub, event, id string, signed bool) {
		right := hex.EncodeToString(sign(testSecret, text))
		if signed {
			signature = right
		}
		r := newRig(nil)
		req := httptest.NewRequest(http.MethodPost, "/webhook", strings.NewReader(string(text)))
		req.Header = http.Header{
			"X-Gitea-Signature": {signature}, "X-Hub-Signature-256": {hub}, "X-Gitea-Event": {event}, "X-Gitea-Delivery": {id},
		}
		w := r.do(req)
		good := strings.EqualFold(signature, right) || signature == "" && strings.EqualFold(strings.TrimPrefix(hub, "sha256="), right)
		taken := r.events()
		if !good && (len(taken) > 0 || w.Code/100 == 2) {
			t.Fatalf("answer %d, taken %+v without a signature", w.Code, taken)
		}
		if len(taken) > 0 != (w.Code == http.StatusNoContent && event == eventJob) {
			t.Fatalf("answer %d to %q, taken %+v", w.Code, event, taken)
		}
		for _, e := range taken {
			if e.Action == "" || e.Job.ID <= 0 || !strings.Contains(e.Job.Repo, "/") || e.Delivery != id || e.Delivery == "" {
				t.Fatalf("taken %+v", e)
			}
		}
		if strings.Contains(w.Body.String()+r.log.String(), testSecret) && !strings.Contains(string(text)+id, testSecret) {
			t.Fatal("the secret shows")
		}
	})
}
