package docker

import (
	"errors"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/image"

	"scaler.io/scaler/internal/plan"
)

func testMissingImage(t *testing.T, r *rig) {
	const absent = "127.0.0.1:1/nothing/here:1" // a registry that refuses connections
	e := r.engine(t, map[string]Options{
		"never":   {Image: absent, Pull: PullNever},
		"missing": {Image: absent},
		"always":  {Image: absent, Pull: PullAlways},
	})
	for pool, want := range map[string]string{
		"never":   "run docker pull " + absent,
		"missing": "the engine cannot reach the registry",
		"always":  "the engine cannot reach the registry",
	} {
		t.Run(pool, func(t *testing.T) {
			_, err := e.Create(t.Context(), pool, r.instance+"-image-"+pool, nil)
			if !errors.Is(err, plan.ErrImage) || !strings.Contains(err.Error(), want) {
				t.Errorf("Create() = %v, want ErrImage and %q", err, want)
			}
		})
	}
}

func testImageVanishes(t *testing.T, r *rig) {
	ref := r.image("vanishing")
	if err := r.base.client.ImageTag(t.Context(), r.image("bare"), ref); err != nil {
		t.Fatal(err)
	}
	e := r.engine(t, map[string]Options{"p": {Image: ref, Pull: PullNever}})
	if err := e.EnsureImage(t.Context(), "p"); err != nil {
		t.Fatal(err)
	}
	if _, err := e.client.ImageRemove(t.Context(), ref, image.RemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Create(t.Context(), "p", r.instance+"-vanish", nil); !errors.Is(err, plan.ErrImage) {
		t.Errorf("Create() without the image = %v, want ErrImage", err)
	}
	if err := r.base.client.ImageTag(t.Context(), r.image("bare"), ref); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Create(t.Context(), "p", r.instance+"-vanish", nil); err != nil {
		t.Errorf("Create() after the image is back: %v", err)
	}
}

func testImportedImage(t *testing.T, r *rig) {
	found, err := r.base.client.ImageInspect(t.Context(), r.image("plain"))
	if err != nil {
		t.Fatal(err)
	}
	if got := found.Config.Labels; got["quoted"] != `a "b" $HOME \n c` || got[LabelInstance] != r.instance {
		t.Errorf("labels %q", got)
	}
	if found.Config.WorkingDir != "/data" || len(found.Config.Entrypoint) != 1 {
		t.Errorf("working directory %q, entrypoint %q", found.Config.WorkingDir, found.Config.Entrypoint)
	}
	other, err := New(Config{Instance: "another"})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.RemoveImage(t.Context(), r.image("volume")); !errors.Is(err, ErrForeign) {
		t.Errorf("RemoveImage by another instance: %v, want ErrForeign", err)
	}
	ref := r.image("removed")
	if err := r.base.client.ImageTag(t.Context(), r.image("bare"), ref); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second finds nothing, which is success
		if err := r.base.RemoveImage(t.Context(), ref); err != nil {
			t.Fatal(err)
		}
	}
	for name, entrypoint := range map[string][]string{"none": nil, "relative": {"probe"}} {
		if err := r.base.ImportImage(t.Context(), ref, "/proc/self/exe", entrypoint, nil); err == nil {
			t.Errorf("%s entrypoint was taken", name)
		}
	}
	if err := r.base.ImportImage(t.Context(), ref, t.TempDir()+"/none", []string{"/x"}, nil); err == nil {
		t.Error("a missing binary was imported")
	}
}
