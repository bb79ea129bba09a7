package docker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"

	"scaler.io/scaler/internal/plan"
)

// owner is a numeric user and group; the zero value is root.
type owner struct{ uid, gid int }

// ownerOf returns the ids of the user that the container runs as: that of the
// pool's options or else the image's, which the engine has merged. Names are
// looked up in the container's own files, and remembered.
func (e *Engine) ownerOf(ctx context.Context, c container.InspectResponse) (owner, error) {
	user := c.Config.User
	if o, ok := numericOwner(user); ok {
		return o, nil
	}
	key := strings.Join([]string{c.Config.Labels[LabelPool], c.Image, user}, "\x00")
	e.mu.Lock()
	known, ok := e.owners[key]
	e.mu.Unlock()
	if ok {
		return known, nil
	}
	passwd, err := e.accounts(ctx, c.ID, "/etc/passwd")
	if err != nil {
		return owner{}, err
	}
	group, err := e.accounts(ctx, c.ID, "/etc/group")
	if err != nil {
		return owner{}, err
	}
	found, err := lookupOwner(user, passwd, group)
	if err != nil {
		return owner{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.owners[key] = found
	return found, nil
}

// accounts reads a file of accounts; an image without one has none.
func (e *Engine) accounts(ctx context.Context, id, file string) (string, error) {
	data, err := e.readFile(ctx, id, file)
	if errors.Is(err, plan.ErrNotFound) {
		return "", nil
	}
	return string(data), err
}

// numericOwner reads a user that needs no look-up: none, or "UID:GID".
func numericOwner(user string) (owner, bool) {
	if user == "" {
		return owner{}, true
	}
	uid, gid, _ := strings.Cut(user, ":")
	u, uErr := strconv.Atoi(uid)
	g, gErr := strconv.Atoi(gid)
	return owner{u, g}, uErr == nil && gErr == nil
}

// lookupOwner resolves "user[:group]" as the engine does at the start: a user
// without a group has the primary group of its passwd entry, and a number
// without an entry is taken as it is, with group 0.
func lookupOwner(user, passwd, group string) (owner, error) {
	userName, groupName, hasGroup := strings.Cut(user, ":")
	var o owner
	entry := findAccount(passwd, userName, 4)
	uid, err := strconv.Atoi(userName)
	switch {
	case entry != nil:
		var errs [2]error
		o.uid, errs[0] = strconv.Atoi(entry[2])
		o.gid, errs[1] = strconv.Atoi(entry[3])
		if err := errors.Join(errs[:]...); err != nil {
			return owner{}, fmt.Errorf("user %q: damaged entry in the image's /etc/passwd: %w", userName, err)
		}
	case err == nil:
		o.uid = uid
	default:
		return owner{}, fmt.Errorf("user %q: not in the image's /etc/passwd", userName)
	}
	if !hasGroup || groupName == "" {
		return o, nil
	}
	gid, err := strconv.Atoi(groupName)
	if entry := findAccount(group, groupName, 3); entry != nil {
		gid, err = strconv.Atoi(entry[2])
	}
	if err != nil {
		return owner{}, fmt.Errorf("group %q: not in the image's /etc/group", groupName)
	}
	o.gid = gid
	return o, nil
}

// findAccount returns the fields of the first line with this name or, as
// the third field, this number. Lines with fewer fields than min are passed
// over.
func findAccount(file, key string, min int) []string {
	for line := range strings.Lines(file) {
		fields := strings.Split(strings.TrimRight(line, "\r\n"), ":")
		if len(fields) >= min && (fields[0] == key || fields[2] == key) {
			return fields
		}
	}
	return nil
}
