package docker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/distribution/reference"

	"scaler.io/scaler/internal/plan"
)

// pinned is what a tag stood for when its registry was asked.
type pinned struct {
	ref string // with its digest
	at  time.Time
}

// pin returns the image of a pool as its nodes are to pull it: by digest, so
// that all nodes run the same and a node that has it asks no registry. The
// registry is asked once in Config.Refresh, with PullNever not at all. An image
// that only engines have keeps its name, and each node must have it.
func (s *Swarm) pin(ctx context.Context, pool string, o Options) (string, error) {
	if o.Pull == PullNever || strings.Contains(o.Image, "@") {
		return o.Image, nil
	}
	key := pullKey(pool, o)
	s.look.Lock()
	known, asked := s.digest[key]
	s.look.Unlock()
	s.mu.Lock()
	refresh := s.refresh
	s.mu.Unlock()
	if asked && (o.Pull != PullAlways || time.Since(known.at) < refresh) {
		return known.ref, nil
	}
	ref, err := s.askDigest(ctx, o)
	if err != nil {
		_, hereErr := s.inspectImage(ctx, o.Image)
		switch {
		case errors.Is(err, ErrUnreachable) && ctx.Err() != nil, hereErr != nil && !errors.Is(hereErr, plan.ErrNotFound):
			return "", err
		case asked:
			return known.ref, nil // what it stood for is better than nothing
		case hereErr != nil:
			return "", err
		}
		ref = o.Image
	}
	s.look.Lock()
	s.digest[key] = pinned{ref, time.Now()}
	s.look.Unlock()
	return ref, nil
}

// askDigest asks the registry what a tag stands for.
func (s *Swarm) askDigest(ctx context.Context, o Options) (string, error) {
	auth, err := registryAuth(o)
	if err != nil {
		return "", err
	}
	var digest string
	err = s.call(ctx, opImageOffered, "ask the registry for "+o.Image, func(ctx context.Context) error {
		found, err := s.client.DistributionInspect(ctx, o.Image, auth)
		digest = found.Descriptor.Digest.String()
		return err
	})
	if err != nil {
		return "", fmt.Errorf("%w: %w: %s", plan.ErrImage, err, pullAdvice(err, o))
	}
	named, err := reference.ParseNormalizedNamed(o.Image)
	if err != nil {
		return "", fmt.Errorf("%w: %s: %w", plan.ErrImage, o.Image, err)
	}
	return reference.FamiliarString(reference.TagNameOnly(named)) + "@" + digest, nil
}

// Image returns what the pool's containers are made from now, and "" if it is
// not known. Only a comparison with another answer means anything.
func (s *Swarm) Image(pool string) string {
	o, err := s.options(pool)
	if err != nil {
		return ""
	}
	s.look.Lock()
	defer s.look.Unlock()
	return s.digest[pullKey(pool, o)].ref
}

// Prepare asks the registries for the images of all pools, and looks whether
// their networks reach all nodes. The nodes pull by themselves.
func (s *Swarm) Prepare(ctx context.Context) error {
	return s.eachPool(ctx, func(ctx context.Context, pool string, o Options) error {
		_, err := s.pin(ctx, pool, o)
		return errors.Join(unprepared(pool, "image", err), unprepared(pool, "network", s.checkSwarmNetwork(ctx, o)))
	})
}

// CheckNetworks is Prepare without the images.
func (s *Swarm) CheckNetworks(ctx context.Context) error {
	return s.eachPool(ctx, func(ctx context.Context, pool string, o Options) error {
		return unprepared(pool, "network", s.checkSwarmNetwork(ctx, o))
	})
}
