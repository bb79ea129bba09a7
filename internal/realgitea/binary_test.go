package realgitea

import (
	"slices"
	"testing"
)

func TestParseBinaries(t *testing.T) {
	for _, c := range []struct {
		text string
		want []Binary
		bad  bool
	}{
		{text: ""},
		{text: " gitea-1.22=/a \n forgejo-15=/b,/c ", want: []Binary{{"gitea-1.22", "/a", ""}, {"forgejo-15", "/b", "/c"}}},
		{text: "/a", bad: true},
		{text: "=/a", bad: true},
		{text: "gitea-1.22=,/c", bad: true},
	} {
		got, err := parseBinaries(c.text)
		if (err != nil) != c.bad || !slices.Equal(got, c.want) {
			t.Errorf("%q: %v, %v; want %v, bad: %v", c.text, got, err, c.want, c.bad)
		}
	}
}
