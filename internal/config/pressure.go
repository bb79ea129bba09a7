package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// Pressure limits the load of the host beyond which nothing new starts. 0 is
// no limit.
type Pressure struct {
	CPU        float64  `yaml:"cpu" default:"0" min:"0" max:"100" example:"80" doc:"Percent of the last 10 s in which some task waited for a CPU (Linux PSI); 0 is no limit."`
	Memory     float64  `yaml:"memory" default:"0" min:"0" max:"100" example:"20" doc:"Percent of the last 10 s in which some task waited for memory; 0 is no limit."`
	IO         float64  `yaml:"io" default:"0" min:"0" max:"100" example:"60" doc:"Percent of the last 10 s in which some task waited for I/O; 0 is no limit."`
	FreeMemory int64    `yaml:"free_memory" default:"0" format:"size" min:"0" example:"512m" doc:"Memory that has to be available without swapping; 0 is no limit."`
	FreeDisk   Space    `yaml:"free_disk" default:"0" example:"5g" doc:"Space that has to be free in the file system of each of disk_paths, as a size or as a share like 10%; 0 is no limit."`
	DiskPaths  []string `yaml:"disk_paths" default:"[/var/lib/docker]" format:"absolute" doc:"Paths whose file systems free_disk is about. A daemon in a container sees those that are mounted into it."`
}

// Space is a size or a share of a file system. At most one of both is set.
type Space struct {
	Bytes   int64
	Percent float64
}

// IsZero reports whether it is no limit.
func (s Space) IsZero() bool { return s == Space{} }

// maxShare is the largest share that may have to be free, in percent: a gate
// that has shut opens again at a tenth more.
const maxShare = 90

const spacePattern = `^([0-9]+(\.[0-9]+)? ?(%|[kKmMgGtTpP]([iI]?[bB])?|[bB])?)$`

var sharePattern = regexp.MustCompile(`^[0-9]+(\.[0-9]+)? ?%$`)

func (k key) parseSpace(n *yaml.Node) (any, error) {
	s, err := parseSpace(n.Value)
	if tag := n.ShortTag(); tag != "!!str" && tag != "!!int" {
		return nil, fmt.Errorf("expected %s, found %s", k.expected(), foundValue(n))
	}
	if err != nil {
		return nil, fmt.Errorf("%q %w", n.Value, err)
	}
	return s, nil
}

func parseSpace(s string) (Space, error) {
	if sharePattern.MatchString(s) {
		percent, err := strconv.ParseFloat(strings.TrimRight(s, " %"), 64)
		if err != nil || percent <= 0 || percent > maxShare {
			return Space{}, fmt.Errorf("is out of range: a share is more than 0%% and at most %d%%", maxShare)
		}
		return Space{Percent: percent}, nil
	}
	bytes, err := parseSize(s)
	if err != nil || bytes < 0 {
		return Space{}, errors.New("is neither a size nor a share: write a number with a unit (k, m, g) or with %, like 5g or 10%")
	}
	return Space{Bytes: bytes}, nil
}

func validatePressure(d *decoder, p Pressure) {
	const path = "limits.pressure"
	if !d.ok("limits", path, path+".free_disk", path+".disk_paths") {
		return
	}
	if !p.FreeDisk.IsZero() && len(p.DiskPaths) == 0 {
		d.report(path+".disk_paths", "free_disk needs a path: name one, like /var/lib/docker, or remove free_disk")
	}
	for i, dir := range p.DiskPaths {
		at := fmt.Sprintf("%s.disk_paths[%d]", path, i)
		if dir != "" && d.ok(at) && slices.Contains(p.DiskPaths[:i], dir) {
			d.report(at, "%s stands there twice: remove one of them", dir)
		}
	}
}

// pressureWarnings tells who limits the load of one machine and starts
// containers on another.
func (c *Config) pressureWarnings() []string {
	p := c.Limits.Pressure
	if p.CPU == 0 && p.Memory == 0 && p.IO == 0 && p.FreeMemory == 0 && p.FreeDisk.IsZero() || !c.Docker.elsewhere() {
		return nil
	}
	return []string{"limits.pressure looks at the machine that scaler runs on, not at that of docker.host: run scaler there, or remove limits.pressure"}
}
