package realgitea

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"regexp"
	"strconv"
)

// Runner is a runner as the server lists it.
type Runner struct {
	ID       int64  `json:"id"`
	Name     string `json:"name"`
	Disabled bool   `json:"disabled"`
}

// Runners lists all runners of the server, which must not be more than fit on
// a page.
func (s *Server) Runners(ctx context.Context) ([]Runner, error) {
	var answer json.RawMessage
	err := s.Call(ctx, http.MethodGet, fmt.Sprintf("/admin/actions/runners?limit=%d", maxPage), nil, &answer)
	if missing(err) {
		return s.runnersOnPage(ctx)
	}
	if err != nil {
		return nil, err
	}
	var list struct {
		Runners []Runner
		Total   int `json:"total_count"`
	}
	whole := func() bool { return list.Total == len(list.Runners) }
	if bytes.HasPrefix(answer, []byte("[")) { // Forgejo, which does not say how many there are
		err = json.Unmarshal(answer, &list.Runners)
		whole = func() bool { return len(list.Runners) < maxPage }
	} else {
		err = json.Unmarshal(answer, &list)
	}
	if err == nil && !whole() {
		err = fmt.Errorf("more than the %d on the first page", len(list.Runners))
	}
	if err != nil {
		return nil, fmt.Errorf("list runners: %w", err)
	}
	return list.Runners, nil
}

// adminPages are where the administrator's pages are: Gitea from 1.23 on, and
// all others.
var adminPages = []string{"/-/admin", "/admin"}

// runnerRow is a row of the administrator's page of runners (Gitea 1.22 and
// Forgejo 7, templates/shared/actions/runner_list.tmpl).
var runnerRow = regexp.MustCompile(`<td>(\d+)</td>\s*<td><p[^>]*>([^<]*)</p></td>`)

// runnersOnPage lists the runners of a server that has no REST call for it.
// The page shows a hundred.
func (s *Server) runnersOnPage(ctx context.Context) ([]Runner, error) {
	_, text, err := s.runnersPage(ctx)
	if err != nil {
		return nil, err
	}
	var found []Runner
	for _, row := range runnerRow.FindAllStringSubmatch(text, -1) {
		id, err := strconv.ParseInt(row[1], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("page of runners: %w", err)
		}
		found = append(found, Runner{ID: id, Name: html.UnescapeString(row[2])})
	}
	return found, nil
}

// runnersPage is the administrator's page of runners, with its path.
func (s *Server) runnersPage(ctx context.Context) (path, text string, err error) {
	for _, admin := range adminPages {
		path = admin + "/actions/runners"
		if text, err = s.page(ctx, path); !missing(err) {
			break
		}
	}
	if err == nil && text == "" {
		err = fmt.Errorf("get %s: not signed in", path)
	}
	return path, text, err
}

// DeleteRunner deletes a runner, on its page where the server has no REST call
// for it.
func (s *Server) DeleteRunner(ctx context.Context, id int64) error {
	err := s.Call(ctx, http.MethodDelete, fmt.Sprintf("/admin/actions/runners/%d", id), nil, nil)
	if !missing(err) {
		return err
	}
	path, _, err := s.runnersPage(ctx)
	if err != nil {
		return err
	}
	return s.submit(ctx, fmt.Sprintf("%s/%d/delete", path, id), nil)
}
