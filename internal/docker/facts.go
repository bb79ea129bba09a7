package docker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/system"

	"scaler.io/scaler/internal/plan"
)

// Facts is what an engine says of itself and of the machine that it runs on.
type Facts struct {
	Address        string // of the engine, unix:///path or tcp://host:port
	Version        string // such as "20.10.24"
	API            string // newest API version, such as "1.41"
	OS, Arch       string // in Go's words, such as "linux" and "amd64"
	Kernel, System string // such as "6.1.0-18-amd64" and "Debian GNU/Linux 12"
	Name           string // of the machine
	Cgroups        string // "1", "2", or empty if the engine does not say it
	CgroupDriver   string // "systemd", "cgroupfs" or "none"
	Storage        string // such as "overlay2"
	Root           string // directory of its data, on its own machine
	// Rootless and Remapped engines give containers users that are not the
	// host's: fewer rights, and some limits less.
	Rootless, Remapped bool
	// What the kernel lets it limit.
	MemoryLimit, SwapLimit, CPULimit, PidsLimit bool
	Runtimes                                    []string
	Warnings                                    []string // its own words
	// Clock is the machine's clock at the middle of the question, and Asked
	// ours; Clock is zero if the engine does not say it.
	Clock, Asked time.Time
}

// Local reports whether the engine is reached by a socket of this machine. That
// it runs on this machine too is likely, and not certain.
func (f Facts) Local() bool { return strings.HasPrefix(f.Address, "unix://") }

// Facts asks the engine about itself.
func (e *Engine) Facts(ctx context.Context) (Facts, error) {
	var (
		info    system.Info
		version types.Version
		began   time.Time
		took    time.Duration
	)
	err := e.call(ctx, opInfo, "ask docker about itself", func(ctx context.Context) (err error) {
		if version, err = e.client.ServerVersion(ctx); err != nil {
			return err
		}
		began = time.Now()
		info, err = e.client.Info(ctx)
		took = time.Since(began)
		return err
	})
	if err != nil {
		return Facts{}, err
	}
	f := Facts{
		Address: e.client.DaemonHost(), Version: version.Version, API: version.APIVersion, OS: version.Os, Arch: version.Arch,
		Kernel: info.KernelVersion, System: info.OperatingSystem, Name: info.Name, Cgroups: info.CgroupVersion, CgroupDriver: info.CgroupDriver,
		Storage: info.Driver, Root: info.DockerRootDir,
		MemoryLimit: info.MemoryLimit, SwapLimit: info.SwapLimit, CPULimit: info.CPUCfsQuota, PidsLimit: info.PidsLimit,
		Runtimes: slices.Sorted(maps.Keys(info.Runtimes)), Warnings: info.Warnings, Asked: began.Add(took / 2),
	}
	for _, option := range info.SecurityOptions {
		f.Rootless = f.Rootless || strings.Contains(option, "name=rootless")
		f.Remapped = f.Remapped || strings.Contains(option, "name=userns")
	}
	if clock, err := time.Parse(time.RFC3339Nano, info.SystemTime); err == nil {
		f.Clock = clock
	}
	return f, nil
}

// Image is an image that the engine has.
type Image struct {
	ID       string
	OS, Arch string // in Go's words
	Size     int64  // bytes
	Created  time.Time
}

// LookUp returns the pool's image as the engine has it. The error wraps
// plan.ErrNotFound if it does not.
func (e *Engine) LookUp(ctx context.Context, pool string) (Image, error) {
	o, err := e.options(pool)
	if err != nil {
		return Image{}, fmt.Errorf("look image up: %w", err)
	}
	var found image.InspectResponse
	err = e.call(ctx, opImageInspect, "inspect image "+o.Image, func(ctx context.Context) (err error) {
		found, err = e.client.ImageInspect(ctx, o.Image)
		return err
	})
	if err != nil {
		return Image{}, err
	}
	created, _ := time.Parse(time.RFC3339Nano, found.Created) // an image may have none
	return Image{ID: found.ID, OS: found.Os, Arch: found.Architecture, Size: found.Size, Created: created}, nil
}

// Offered asks the registry of the pool's image for it, as a pull would, and
// pulls nothing. It returns the platforms that there are, as OS/ARCH. The
// error says what to do, and wraps plan.ErrImage unless the engine itself is at
// fault.
func (e *Engine) Offered(ctx context.Context, pool string) (platforms []string, err error) {
	o, err := e.options(pool)
	if err != nil {
		return nil, fmt.Errorf("ask for image: %w", err)
	}
	auth := ""
	if o.Auth != nil {
		if auth, err = authHeader(o); err != nil {
			return nil, fmt.Errorf("%w: ask for %s: registry credentials: %w", plan.ErrImage, o.Image, err)
		}
	}
	err = e.call(ctx, opImageOffered, "ask the registry for "+o.Image, func(ctx context.Context) error {
		found, err := e.client.DistributionInspect(ctx, o.Image, auth)
		for _, p := range found.Platforms {
			platforms = append(platforms, p.OS+"/"+p.Architecture)
		}
		return err
	})
	if err != nil && !errors.Is(err, ErrUnreachable) {
		return nil, fmt.Errorf("%w: %w: %s", plan.ErrImage, err, pullAdvice(err, o))
	}
	return platforms, err
}

// Names returns the names of all images that the engine has, as NAME:TAG, in
// order.
func (e *Engine) Names(ctx context.Context) ([]string, error) {
	return e.names(ctx, image.ListOptions{})
}

// OwnImages returns the names of the images that carry our instance id.
func (e *Engine) OwnImages(ctx context.Context) ([]string, error) {
	return e.names(ctx, image.ListOptions{Filters: byInstance(e.instance)})
}

func (e *Engine) names(ctx context.Context, o image.ListOptions) ([]string, error) {
	var names []string
	err := e.call(ctx, opImageList, "list images", func(ctx context.Context) error {
		found, err := e.client.ImageList(ctx, o)
		for _, i := range found {
			names = append(names, i.RepoTags...)
		}
		return err
	})
	names = slices.DeleteFunc(names, func(n string) bool { return strings.HasPrefix(n, "<none>") })
	slices.Sort(names)
	return slices.Compact(names), err
}
