package config

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxItems limits the items of a list.
const maxItems = 1000

// errMany is the error for a list that is too long.
var errMany = errors.New("want at most " + strconv.Itoa(maxItems) + " of them")

// all stands for every module.
const all = "all"

// value is a field of Settings. The error of set describes the wanted text, and never has the given text, which may be
// secret.
type value interface {
	set(text string) error
	String() string
	kind() string
}

// parsed is a value of any type.
type parsed[T any] struct {
	to     *T
	of     string // the word for --help
	parse  func(text string) (T, error)
	format func(T) string
}

func (p parsed[T]) set(text string) error {
	v, err := p.parse(text)
	if err == nil {
		*p.to = v
	}
	return err
}

// String returns the value as text for set.
func (p parsed[T]) String() string { return p.format(*p.to) }
func (p parsed[T]) kind() string   { return p.of }

// Kinds of values with a special form.
const (
	kindSwitch = "bool" // a flag without a value means true
	kindPairs  = "MODULE=URL" + several
	several    = ",..." // the end of a kind whose value can be a list in a file
)

func text(to *string, of string, check func(string) error) value {
	parse := func(s string) (string, error) { return s, check(s) }
	return parsed[string]{to, of, parse, func(s string) string { return s }}
}

// legalName matches names that Kafka accepts for topics and groups, and Postgres for tables.
var legalName = regexp.MustCompile(`^[a-zA-Z0-9._-]+$`)

// name is a legalName of up to most characters.
func name(to *string, most int) value {
	return text(to, "NAME", func(s string) error {
		if !legalName.MatchString(s) || len(s) > most {
			return fmt.Errorf("want up to %d letters, digits, '.', '_' and '-'", most)
		}
		return nil
	})
}

// words is a text without control characters.
func words(to *string) value {
	return text(to, "TEXT", func(s string) error {
		if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return errors.New("want some text on one line")
		}
		return nil
	})
}

func path(to *string) value {
	return text(to, "FILE", func(s string) error {
		if s == "" || strings.ContainsRune(s, 0) {
			return errors.New("want the path of a file")
		}
		return nil
	})
}

func address(to *string) value {
	return text(to, "HOST:PORT", func(s string) error { return checkAddress(s, 0) })
}

// checkAddress returns an error unless s is host:port with a port of least or more.
func checkAddress(s string, least int) error {
	_, port, err := net.SplitHostPort(s)
	if n, bad := strconv.Atoi(port); err != nil || bad != nil || n < least || n > 65535 {
		return errors.New("want host:port, such as 127.0.0.1:8080")
	}
	return nil
}

func choice(to *string, from ...string) value {
	return text(to, strings.Join(from, "|"), func(s string) error {
		if !slices.Contains(from, s) {
			return fmt.Errorf("want one of %s", strings.Join(from, ", "))
		}
		return nil
	})
}

// databaseURL is a URL of Postgres. Other forms of a connection string are refused, because the password could not be
// recognized.
func databaseURL(to *string) value {
	return text(to, "URL", func(s string) error {
		if u, err := url.Parse(s); err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
			return errors.New("want a URL, postgres://user:password@host:5432/database")
		}
		return nil
	})
}

func onOff(to *bool) value {
	return parsed[bool]{to, kindSwitch, func(s string) (bool, error) {
		v, err := strconv.ParseBool(s)
		if err != nil {
			return false, errors.New("want true or false")
		}
		return v, nil
	}, strconv.FormatBool}
}

func whole[T ~int16 | ~int32](to *T, from, upTo T) value {
	return parsed[T]{to, "N", func(s string) (T, error) {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < int64(from) || n > int64(upTo) {
			return 0, fmt.Errorf("want a whole number from %d to %d", from, upTo)
		}
		return T(n), nil
	}, func(n T) string { return strconv.FormatInt(int64(n), 10) }}
}

// integer is a whole number in the range of T.
func integer[T int | int64](to *T) value {
	return parsed[T]{to, "N", func(s string) (T, error) {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || int64(T(n)) != n {
			return 0, errors.New("want a whole number")
		}
		return T(n), nil
	}, func(n T) string { return strconv.FormatInt(int64(n), 10) }}
}

// number is a number, but neither NaN nor infinite.
func number(to *float64) value {
	return parsed[float64]{to, "NUMBER", func(s string) (float64, error) {
		n, err := strconv.ParseFloat(s, 64)
		if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
			return 0, errors.New("want a number")
		}
		return n, nil
	}, func(n float64) string { return strconv.FormatFloat(n, 'g', -1, 64) }}
}

// texts is a list of texts.
func texts(to *[]string) value {
	return list(to, "TEXT"+several, func(s string) error {
		if words(new(string)).set(s) != nil {
			return errors.New("want some text on one line, separated by commas")
		}
		return nil
	})
}

// natural is a whole number of 0 or more.
func natural(to *uint64) value {
	return parsed[uint64]{to, "N", func(s string) (uint64, error) {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			return 0, errors.New("want a whole number of 0 or more")
		}
		return n, nil
	}, func(n uint64) string { return strconv.FormatUint(n, 10) }}
}

func span(to *time.Duration) value {
	return parsed[time.Duration]{to, "TIME", func(s string) (time.Duration, error) {
		d, err := time.ParseDuration(s)
		if err != nil || d < 0 {
			return 0, errors.New("want a time of 0 or more, such as 40ms, 5s or 168h")
		}
		return d, nil
	}, time.Duration.String}
}

// forever is a time without an end, as in postgres.Config.
const forever time.Duration = -1

// retention is a time, or forever.
func retention(to *time.Duration) value {
	return parsed[time.Duration]{to, "TIME|forever", func(s string) (time.Duration, error) {
		if s == "forever" {
			return forever, nil
		}
		d, err := time.ParseDuration(s)
		if err != nil || d <= 0 {
			return 0, errors.New("want a time above 0, such as 168h, or forever")
		}
		return d, nil
	}, func(d time.Duration) string {
		if d == forever {
			return "forever"
		}
		return d.String()
	}}
}

// list is a list of texts, separated by commas.
func list(to *[]string, of string, check func(string) error) value {
	return parsed[[]string]{to, of, func(s string) ([]string, error) {
		items := strings.SplitN(s, ",", maxItems+1)
		if len(items) > maxItems {
			return nil, errMany
		}
		for i := range items {
			items[i] = strings.TrimSpace(items[i])
			if err := check(items[i]); err != nil {
				return nil, err
			}
		}
		return items, nil
	}, func(items []string) string { return strings.Join(items, ",") }}
}

// modules is a list of modules; nil for all.
func modules(to *[]string) value {
	named := list(to, "MODULE"+several, func(s string) error {
		if s == "" {
			return errors.New("want names of modules with commas between them, or " + all)
		}
		return nil
	}).(parsed[[]string])
	parse, format := named.parse, named.format
	named.parse = func(s string) ([]string, error) {
		if s == all {
			return nil, nil
		}
		items, err := parse(s)
		if err == nil && slices.Contains(items, all) {
			err = errors.New("want " + all + " alone, or names of modules without it")
		}
		return items, err
	}
	named.format = func(items []string) string {
		if items == nil {
			return all
		}
		return format(items)
	}
	return named
}

func addresses(to *[]string) value {
	return list(to, "HOST:PORT"+several, func(s string) error {
		if checkAddress(s, 1) != nil {
			return errors.New("want host:port, with commas between several, such as kafka-1:9092,kafka-2:9092")
		}
		return nil
	})
}

// hostName matches a host name in a URL, without a port.
var hostName = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9._-]{0,251}[a-zA-Z0-9.])?$`)

func hostNames(to *[]string) value {
	return list(to, "HOST"+several, func(s string) error {
		if !hostName.MatchString(s) {
			return errors.New("want names of hosts without a port, such as shop.example, with commas between several")
		}
		return nil
	})
}

// peers has base URLs by module. A URL must not have a password, because clients get the URL.
func peers(to *map[string]string) value {
	return parsed[map[string]string]{to, kindPairs, func(s string) (map[string]string, error) {
		found := map[string]string{}
		for pair := range strings.SplitSeq(s, ",") {
			if len(found) == maxItems {
				return nil, errMany
			}
			module, at, _ := strings.Cut(strings.TrimSpace(pair), "=")
			u, err := url.Parse(at)
			if err != nil || module == "" || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
				return nil, errors.New("want a URL for each module, such as MODULE=http://10.0.0.1:8080, without a user or password")
			}
			if found[module] != "" {
				return nil, errors.New("want one URL for each module: one is there twice")
			}
			found[module] = strings.TrimSuffix(at, "/")
		}
		return found, nil
	}, func(m map[string]string) string {
		var pairs []string
		for _, module := range slices.Sorted(maps.Keys(m)) {
			pairs = append(pairs, module+"="+m[module])
		}
		return strings.Join(pairs, ",")
	}}
}
