;; Resources that go from one component to another, owned and borrowed, and
;; destructors that run in the component that made them.

(component
  (component $Boxes
    (core module $state
      (global $live (export "live") (mut i32) (i32.const 0))
      (func (export "drop") (param i32)
        (global.set $live (i32.sub (global.get $live) (local.get 0)))))
    (core instance $state (instantiate $state))
    (type $box' (resource (rep i32) (dtor (func $state "drop"))))
    (export $box "box" (type $box'))
    (core func $new (canon resource.new $box'))
    (core module $m
      (import "" "live" (global $live (mut i32)))
      (import "" "new" (func $new (param i32) (result i32)))
      (func (export "make") (param i32) (result i32)
        (global.set $live (i32.add (global.get $live) (local.get 0)))
        (call $new (local.get 0)))
      (func (export "look") (param i32) (result i32) (local.get 0))
      (func (export "live") (result i32) (global.get $live)))
    (core instance $i (instantiate $m (with "" (instance
      (export "live" (global $state "live")) (export "new" (func $new))))))
    (func (export "make") (param "weight" u32) (result (own $box))
      (canon lift (core func $i "make")))
    (func (export "look") (param "box" (borrow $box)) (result u32)
      (canon lift (core func $i "look")))
    (func (export "live") (result u32) (canon lift (core func $i "live"))))

  (component $Caller
    (import "boxes" (instance $boxes
      (export "box" (type $box (sub resource)))
      (export "make" (func (param "weight" u32) (result (own $box))))
      (export "look" (func (param "box" (borrow $box)) (result u32)))))
    (alias export $boxes "box" (type $box))
    (core func $make (canon lower (func $boxes "make")))
    (core func $look (canon lower (func $boxes "look")))
    (core func $drop (canon resource.drop $box))
    (core module $m
      (import "" "make" (func $make (param i32) (result i32)))
      (import "" "look" (func $look (param i32) (result i32)))
      (import "" "drop" (func $drop (param i32)))
      (func (export "run") (param $n i32) (result i32)
        (local $sum i32) (local $box i32)
        (loop $again
          (local.set $box (call $make (local.get $n)))
          (local.set $sum (i32.add (local.get $sum) (call $look (local.get $box))))
          (local.set $sum (i32.add (local.get $sum) (call $look (local.get $box))))
          (call $drop (local.get $box))
          (local.set $n (i32.sub (local.get $n) (i32.const 1)))
          (br_if $again (local.get $n)))
        (local.get $sum))
      (func (export "keep") (param i32) (drop (call $make (local.get 0))))
      (func (export "look-at-nothing") (result i32) (call $look (i32.const 77))))
    (core instance $i (instantiate $m (with "" (instance
      (export "make" (func $make)) (export "look" (func $look)) (export "drop" (func $drop))))))
    (func (export "run") (param "n" u32) (result u32) (canon lift (core func $i "run")))
    (func (export "keep") (param "weight" u32) (canon lift (core func $i "keep")))
    (func (export "look-at-nothing") (result u32) (canon lift (core func $i "look-at-nothing"))))

  (instance $boxes (instantiate $Boxes))
  (instance $caller (instantiate $Caller (with "boxes" (instance $boxes))))
  (export "run" (func $caller "run"))
  (export "keep" (func $caller "keep"))
  (export "look-at-nothing" (func $caller "look-at-nothing"))
  (export "live" (func $boxes "live")))

(assert_return (invoke "run" (u32.const 10)) (u32.const 110))
(assert_return (invoke "live") (u32.const 0))
(assert_return (invoke "keep" (u32.const 5)))
(assert_return (invoke "live") (u32.const 5))
(assert_trap (invoke "look-at-nothing") "unknown handle index 77")
