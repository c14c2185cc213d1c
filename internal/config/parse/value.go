// Package parse has the values of settings: each parses a text into a variable, and returns the value as text.
package parse

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

// All stands for every module.
const All = "all"

// Value is a variable with a text form.
type Value interface {
	// Set parses text. The error describes the wanted text, and never has the given text, which may be secret.
	Set(text string) error
	// String returns the value as text for Set.
	String() string
	// Kind returns the word for the value in --help.
	Kind() string
}

// parsed is a value of any type.
type parsed[T any] struct {
	to     *T
	of     string // the word for --help
	parse  func(text string) (T, error)
	format func(T) string
}

// Set implements Value.
func (p parsed[T]) Set(text string) error {
	v, err := p.parse(text)
	if err == nil {
		*p.to = v
	}
	return err
}

// String implements Value.
func (p parsed[T]) String() string { return p.format(*p.to) }

// Kind implements Value.
func (p parsed[T]) Kind() string { return p.of }

// Kinds of values with a special form.
const (
	KindSwitch = "bool" // a flag without a value means true
	KindPairs  = "MODULE=URL" + Several
	Several    = ",..." // the end of a kind whose value can be a list in a file
)

func text(to *string, of string, check func(string) error) Value {
	parse := func(s string) (string, error) { return s, check(s) }
	return parsed[string]{to, of, parse, func(s string) string { return s }}
}

// legalName matches names that Kafka accepts for topics and groups, and Postgres for tables.
var legalName = regexp.MustCompile(`^[a-zA-Z0-9._-]+$`)

// Name is a legalName of up to most characters.
func Name(to *string, most int) Value {
	return text(to, "NAME", func(s string) error {
		if !legalName.MatchString(s) || len(s) > most {
			return fmt.Errorf("want up to %d letters, digits, '.', '_' and '-'", most)
		}
		return nil
	})
}

// Words is a text without control characters.
func Words(to *string) Value {
	return text(to, "TEXT", func(s string) error {
		if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return errors.New("want some text on one line")
		}
		return nil
	})
}

// Path is the path of a file.
func Path(to *string) Value {
	return text(to, "FILE", func(s string) error {
		if s == "" || strings.ContainsRune(s, 0) {
			return errors.New("want the path of a file")
		}
		return nil
	})
}

// Address is host:port; the port may be 0.
func Address(to *string) Value {
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

// Choice is one of the texts in from.
func Choice(to *string, from ...string) Value {
	return text(to, strings.Join(from, "|"), func(s string) error {
		if !slices.Contains(from, s) {
			return fmt.Errorf("want one of %s", strings.Join(from, ", "))
		}
		return nil
	})
}

// DatabaseURL is a URL of Postgres. Other forms of a connection string are refused, because the password could not be
// recognized.
func DatabaseURL(to *string) Value {
	return text(to, "URL", func(s string) error {
		if u, err := url.Parse(s); err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
			return errors.New("want a URL, postgres://user:password@host:5432/database")
		}
		return nil
	})
}

// OnOff is true or false.
func OnOff(to *bool) Value {
	return parsed[bool]{to, KindSwitch, func(s string) (bool, error) {
		v, err := strconv.ParseBool(s)
		if err != nil {
			return false, errors.New("want true or false")
		}
		return v, nil
	}, strconv.FormatBool}
}

// Whole is a whole number in a range.
func Whole[T ~int16 | ~int32](to *T, from, upTo T) Value {
	return parsed[T]{to, "N", func(s string) (T, error) {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < int64(from) || n > int64(upTo) {
			return 0, fmt.Errorf("want a whole number from %d to %d", from, upTo)
		}
		return T(n), nil
	}, func(n T) string { return strconv.FormatInt(int64(n), 10) }}
}

// Integer is a whole number in the range of T.
func Integer[T int | int64](to *T) Value {
	return parsed[T]{to, "N", func(s string) (T, error) {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || int64(T(n)) != n {
			return 0, errors.New("want a whole number")
		}
		return T(n), nil
	}, func(n T) string { return strconv.FormatInt(int64(n), 10) }}
}

// Number is a number, but neither NaN nor infinite.
func Number(to *float64) Value {
	return parsed[float64]{to, "NUMBER", func(s string) (float64, error) {
		n, err := strconv.ParseFloat(s, 64)
		if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
			return 0, errors.New("want a number")
		}
		return n, nil
	}, func(n float64) string { return strconv.FormatFloat(n, 'g', -1, 64) }}
}

// Texts is a list of texts.
func Texts(to *[]string) Value {
	return list(to, "TEXT"+Several, func(s string) error {
		if Words(new(string)).Set(s) != nil {
			return errors.New("want some text on one line, separated by commas")
		}
		return nil
	})
}

// Natural is a whole number of 0 or more.
func Natural(to *uint64) Value {
	return parsed[uint64]{to, "N", func(s string) (uint64, error) {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			return 0, errors.New("want a whole number of 0 or more")
		}
		return n, nil
	}, func(n uint64) string { return strconv.FormatUint(n, 10) }}
}

// Span is a time of 0 or more.
func Span(to *time.Duration) Value {
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

// Retention is a time, or forever.
func Retention(to *time.Duration) Value {
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
func list(to *[]string, of string, check func(string) error) Value {
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

// Modules is a list of modules; nil for all.
func Modules(to *[]string) Value {
	named := list(to, "MODULE"+Several, func(s string) error {
		if s == "" {
			return errors.New("want names of modules with commas between them, or " + All)
		}
		return nil
	}).(parsed[[]string])
	parse, format := named.parse, named.format
	named.parse = func(s string) ([]string, error) {
		if s == All {
			return nil, nil
		}
		items, err := parse(s)
		if err == nil && slices.Contains(items, All) {
			err = errors.New("want " + All + " alone, or names of modules without it")
		}
		return items, err
	}
	named.format = func(items []string) string {
		if items == nil {
			return All
		}
		return format(items)
	}
	return named
}

// Addresses is a list of host:port.
func Addresses(to *[]string) Value {
	return list(to, "HOST:PORT"+Several, func(s string) error {
		if checkAddress(s, 1) != nil {
			return errors.New("want host:port, with commas between several, such as kafka-1:9092,kafka-2:9092")
		}
		return nil
	})
}

// hostName matches a host name in a URL, without a port.
var hostName = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9._-]{0,251}[a-zA-Z0-9.])?$`)

// HostNames is a list of host names.
func HostNames(to *[]string) Value {
	return list(to, "HOST"+Several, func(s string) error {
		if !hostName.MatchString(s) {
			return errors.New("want names of hosts without a port, such as shop.example, with commas between several")
		}
		return nil
	})
}

// Peers has base URLs by module. A URL must not have a password, because clients get the URL.
func Peers(to *map[string]string) Value {
	return parsed[map[string]string]{to, KindPairs, func(s string) (map[string]string, error) {
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
