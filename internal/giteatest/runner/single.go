package runner

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"
	"google.golang.org/protobuf/encoding/protojson"
)

// maxAnswer bounds an answer that is read whole.
const maxAnswer = 10 << 20

// fetchOne asks for the job of the handle by FetchSingleTask, a call that Forgejo
// has from 15 on and Gitea's protocol does not know. So it is made in JSON, whose
// answer has the fields of FetchTask's.
func (r *runner) fetchOne(ctx context.Context) (*runnerv1.Task, error) {
	body, err := json.Marshal(map[string]string{"tasksVersion": "0", "handle": r.opts.Handle})
	if err != nil {
		return nil, fmt.Errorf("fetch single task: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost,
		strings.TrimRight(r.reg.Address, "/")+"/api/actions/runner.v1.RunnerService/FetchSingleTask", bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("fetch single task: %w", err)
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Connect-Protocol-Version": "1", "X-Runner-Uuid": r.reg.UUID, "X-Runner-Token": r.reg.Token,
	} {
		req.Header.Set(name, value)
	}
	resp, err := r.opts.Client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("fetch single task: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case err != nil:
		return nil, fmt.Errorf("fetch single task: %w", err)
	case resp.StatusCode == http.StatusUnauthorized:
		return nil, fmt.Errorf("fetch single task: %w", errUnregistered)
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("fetch single task: HTTP %d", resp.StatusCode)
	}
	var found runnerv1.FetchTaskResponse
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(answer, &found); err != nil {
		return nil, fmt.Errorf("fetch single task: %w", err)
	}
	return found.Task, nil
}
