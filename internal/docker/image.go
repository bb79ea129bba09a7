package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"
	"github.com/docker/docker/pkg/jsonmessage"

	"scaler.io/scaler/internal/plan"
)

// EnsureImage makes the pool's image available by its pull policy. Concurrent
// calls for one image share one pull, which goes on to its own deadline when
// the caller that began it gives up. An error wraps plan.ErrImage and says
// what to do, unless the engine itself is at fault (ErrUnreachable).
//
// With PullMissing and PullNever an image that was seen once is not looked
// for again until a Create or Prepare finds it gone; with PullAlways one that
// was pulled within Config.Refresh is not pulled again.
func (e *Engine) EnsureImage(ctx context.Context, pool string) error {
	o, err := e.options(pool)
	if err != nil {
		return fmt.Errorf("ensure image: %w", err)
	}
	if e.imageReady(pool, o) {
		return nil
	}
	return e.fetchImage(ctx, pool, o)
}

// imageReady reports whether a start can use the image as it is known.
func (e *Engine) imageReady(pool string, o Options) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if o.Pull != PullAlways || !e.present[o.Image] {
		return e.present[o.Image]
	}
	at, done := e.pulled[pullKey(pool, o)]
	return done && time.Since(at) < e.refresh
}

// fetchImage looks for the image, or pulls it, in any case.
func (e *Engine) fetchImage(ctx context.Context, pool string, o Options) error {
	key := pullKey(pool, o)
	done := e.pulls.DoChan(key, func() (any, error) {
		return nil, e.ensureImage(context.WithoutCancel(ctx), key, o)
	})
	select {
	case result := <-done:
		return result.Err
	case <-ctx.Done():
		return fmt.Errorf("ensure image %s: %w", o.Image, ctx.Err())
	}
}

// pullKey is the same for pools to which the pull of one image means the same.
func pullKey(pool string, o Options) string {
	key := o.Image + " " + string(o.Pull)
	if o.Auth != nil {
		key += " " + pool // other credentials may have another outcome
	}
	return key
}

func (e *Engine) ensureImage(ctx context.Context, key string, o Options) error {
	if o.Pull != PullAlways {
		id, err := e.inspectImage(ctx, o.Image)
		switch {
		case err == nil:
			e.markImage(o.Image, true)
			e.noteID(o.Image, id)
			return nil
		case !errors.Is(err, plan.ErrNotFound):
			return err
		}
		e.markImage(o.Image, false)
		if o.Pull == PullNever {
			return fmt.Errorf("%w: the engine has no image %s and the pull policy is never: run docker pull %s or docker load, or set the policy to missing",
				plan.ErrImage, o.Image, o.Image)
		}
	}
	if err := e.pull(ctx, o); err != nil {
		return err
	}
	// Without its id it is there all the same.
	id, err := e.inspectImage(ctx, o.Image)
	if err != nil {
		e.log.Debug("id of the pulled image not known", "image", o.Image, "err", err)
	}
	e.markPulled(o.Image, key)
	e.noteID(o.Image, id)
	return nil
}

func (e *Engine) inspectImage(ctx context.Context, ref string) (id string, err error) {
	err = e.call(ctx, opImageInspect, "inspect image "+ref, func(ctx context.Context) error {
		found, err := e.client.ImageInspect(ctx, ref)
		id = found.ID
		return err
	})
	return id, err
}

// Image returns the id of the image that the containers of a pool are made
// from, as it was last looked up or pulled, and "" if it is not known. Only a
// comparison with another answer means anything.
func (e *Engine) Image(pool string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ids[e.pools[pool].Image]
}

// pull pulls the image and reads the engine's report to its end: the engine
// answers 200 before the download and sends a later failure in the report.
func (e *Engine) pull(ctx context.Context, o Options) error {
	var opts image.PullOptions
	if o.Auth != nil {
		header, err := authHeader(o)
		if err != nil {
			return fmt.Errorf("%w: pull %s: registry credentials: %w", plan.ErrImage, o.Image, err)
		}
		opts.RegistryAuth = header
	}
	err := e.callWithin(ctx, o.pullTimeout(), opImagePull, "pull "+o.Image, func(ctx context.Context) error {
		report, err := e.client.ImagePull(ctx, o.Image, opts)
		if err != nil {
			return err
		}
		defer func() { _ = report.Close() }()
		return readReport(report)
	})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: pull %s: not done within %s: raise the pull timeout, or run docker pull %s once",
			plan.ErrImage, o.Image, o.pullTimeout(), o.Image)
	case errors.Is(err, ErrUnreachable):
		return err
	}
	return fmt.Errorf("%w: %w: %s", plan.ErrImage, err, pullAdvice(err, o))
}

func authHeader(o Options) (string, error) {
	username, password, server, err := o.Auth()
	if err != nil {
		return "", err
	}
	return registry.EncodeAuthConfig(registry.AuthConfig{
		Username: username, Password: password.Reveal(), ServerAddress: server,
	})
}

// pullAdvice says what to do about a failed pull. The engine passes on the
// registry's words, mostly with status 404 or 500 or within its report, so
// that the text is all there is to tell the cases apart.
func pullAdvice(err error, o Options) string {
	text := strings.ToLower(err.Error())
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(text, w) {
				return true
			}
		}
		return false
	}
	switch {
	case has("manifest unknown", "manifest for", "no matching manifest"):
		return "check the image's tag and platform"
	case errdefs.IsUnauthorized(err) || has("denied", "unauthorized", "authentication required", "no basic auth"):
		if o.Auth != nil {
			return "check the image's name and the pool's registry credentials"
		}
		return "check the image's name, or give the pool registry credentials"
	case has("toomanyrequests", "rate limit"):
		return "wait, give the pool registry credentials, or use a mirror"
	case has("dial tcp", "no such host", "timeout", "connection", "proxyconnect", "tls", "x509", "eof"):
		return "the engine cannot reach the registry: check its network and proxy, or docker load the image"
	}
	return "try docker pull " + o.Image + " on the engine's host"
}

// readReport reads a stream of messages to its end and returns the first error
// in it.
func readReport(r io.Reader) error {
	dec := json.NewDecoder(r)
	for {
		var m jsonmessage.JSONMessage
		err := dec.Decode(&m)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read report: %w", err)
		case m.Error != nil:
			if m.Error.Code == http.StatusUnauthorized {
				return fmt.Errorf("%w: %w", errdefs.ErrUnauthenticated, m.Error)
			}
			return m.Error
		}
	}
}

// markPulled notes that the image has just been pulled.
func (e *Engine) markPulled(ref, key string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.present[ref] = true
	e.pulled[key] = time.Now()
}

func (e *Engine) imageSeen(ref string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.present[ref]
}

func (e *Engine) markImage(ref string, present bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.ids, ref)
	if present {
		e.present[ref] = true
	} else {
		delete(e.present, ref)
	}
}

// noteID notes the id of an image that is there, "" if it is not known.
func (e *Engine) noteID(ref, id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ids[ref] = id
}
