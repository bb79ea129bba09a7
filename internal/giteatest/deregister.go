package giteatest

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	"google.golang.org/protobuf/encoding/protowire"
)

// deregisterProcedure is the path of the proposed call, below /api/actions.
const deregisterProcedure = "/runner.v1.RunnerService/Deregister"

// deregisterRequest is the proposed message: int64 id = 1, string uuid = 2,
// string token = 3, where the token is the runner's own. The answer is empty.
type deregisterRequest struct {
	ID    json.Number `json:"id"` // Connect's JSON writes an int64 as a string
	UUID  string      `json:"uuid"`
	Token string      `json:"token"`
}

// deregister serves the proposed call as unary Connect does, in JSON and in
// protobuf: a runner deletes itself by what is in its .runner file. As the
// REST API's DELETE, it does not ask whether the runner has a job. Unknown
// runners are "not_found", a wrong token is "unauthenticated".
func (s *Server) deregister(w http.ResponseWriter, r *http.Request) {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		connectError(w, http.StatusBadRequest, "invalid_argument", "read request: "+err.Error())
		return
	}
	var req deregisterRequest
	switch kind {
	case "application/json":
		err = json.Unmarshal(body, &req)
	case "application/proto":
		err = req.unmarshal(body)
	default:
		w.WriteHeader(http.StatusUnsupportedMediaType)
		return
	}
	if err != nil {
		connectError(w, http.StatusBadRequest, "invalid_argument", "decode request: "+err.Error())
		return
	}
	if status, code, text := s.removeSelf(req); status != http.StatusOK {
		connectError(w, status, code, text)
		return
	}
	w.Header().Set("Content-Type", kind)
	if kind == "application/json" {
		_, _ = io.WriteString(w, "{}")
	}
}

// removeSelf deletes the runner, or says why not.
func (s *Server) removeSelf(req deregisterRequest) (status int, code, text string) {
	s.lock()
	defer s.mu.Unlock()
	r := s.db.runnerByUUID(req.UUID)
	if r == nil || fmt.Sprint(r.id) != req.ID.String() {
		return http.StatusNotFound, "not_found", "runner not found"
	}
	if subtle.ConstantTimeCompare([]byte(r.token), []byte(req.Token)) != 1 {
		return http.StatusUnauthorized, "unauthenticated", "unregistered runner"
	}
	s.db.removeRunner(r)
	s.counts.Deregistrations++
	s.touch()
	return http.StatusOK, "", ""
}

// unmarshal reads the protobuf form.
func (r *deregisterRequest) unmarshal(b []byte) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		switch {
		case num == 1 && typ == protowire.VarintType:
			var v uint64
			v, n = protowire.ConsumeVarint(b)
			r.ID = json.Number(fmt.Sprint(int64(v)))
		case num == 2 && typ == protowire.BytesType:
			r.UUID, n = protowire.ConsumeString(b)
		case num == 3 && typ == protowire.BytesType:
			r.Token, n = protowire.ConsumeString(b)
		default:
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 {
			return errors.Join(errors.New("malformed message"), protowire.ParseError(n))
		}
		b = b[n:]
	}
	return nil
}

// connectError answers as Connect's unary protocol does.
func connectError(w http.ResponseWriter, status int, code, text string) {
	writeJSON(w, status, map[string]string{"code": code, "message": text})
}
