;; Strings from one component to another, in the same encoding and in others:
;; reallocs of the callee, transcoders, and a sum of what has arrived.

(component
  (component $Sum
    (core module $m
      (memory (export "memory") 1)
      (global $next (mut i32) (i32.const 1024))
      (global $reallocs (mut i32) (i32.const 0))
      (func (export "realloc") (param $old i32) (param $size i32) (param $align i32) (param $new i32)
        (result i32)
        (local $at i32)
        (global.set $reallocs (i32.add (global.get $reallocs) (i32.const 1)))
        (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
        (global.set $next (i32.add (local.get $at) (local.get $new)))
        (memory.copy (local.get $at) (local.get $old) (local.get $size))
        (local.get $at))
      (func (export "sum") (param $at i32) (param $bytes i32) (result i32)
        (local $sum i32)
        (block $done
          (loop $next
            (br_if $done (i32.eqz (local.get $bytes)))
            (local.set $sum
              (i32.add (i32.mul (local.get $sum) (i32.const 31)) (i32.load8_u (local.get $at))))
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (local.set $bytes (i32.sub (local.get $bytes) (i32.const 1)))
            (br $next)))
        (local.get $sum))
      (func (export "sum16") (param $at i32) (param $units i32) (result i32)
        (local $sum i32)
        (block $done
          (loop $next
            (br_if $done (i32.eqz (local.get $units)))
            (local.set $sum
              (i32.add (i32.mul (local.get $sum) (i32.const 31)) (i32.load16_u (local.get $at))))
            (local.set $at (i32.add (local.get $at) (i32.const 2)))
            (local.set $units (i32.sub (local.get $units) (i32.const 1)))
            (br $next)))
        (local.get $sum))
      (func (export "reallocs") (result i32) (global.get $reallocs)))
    (core instance $i (instantiate $m))
    (func (export "sum") (param "s" string) (result u32)
      (canon lift (core func $i "sum") (memory $i "memory") (realloc (func $i "realloc"))))
    (func (export "sum16") (param "s" string) (result u32)
      (canon lift (core func $i "sum16") string-encoding=utf16
        (memory $i "memory") (realloc (func $i "realloc"))))
    (func (export "reallocs") (result u32) (canon lift (core func $i "reallocs"))))
  (component $Caller
    (import "sum" (func $sum (param "s" string) (result u32)))
    (import "sum16" (func $sum16 (param "s" string) (result u32)))
    (core module $memory
      (memory (export "memory") 1)
      (data (i32.const 16) "gr\c3\bc\c3\9fe")
      (data (i32.const 32) "\67\fc\df"))
    (core instance $memory (instantiate $memory))
    (core func $same (canon lower (func $sum) (memory $memory "memory")))
    (core func $wider (canon lower (func $sum16) (memory $memory "memory")))
    (core func $latin (canon lower (func $sum) string-encoding=latin1+utf16 (memory $memory "memory")))
    (core module $m
      (import "" "same" (func $same (param i32 i32) (result i32)))
      (import "" "wider" (func $wider (param i32 i32) (result i32)))
      (import "" "latin" (func $latin (param i32 i32) (result i32)))
      (func (export "same") (result i32) (call $same (i32.const 16) (i32.const 7)))
      (func (export "wider") (result i32) (call $wider (i32.const 16) (i32.const 7)))
      (func (export "latin") (result i32) (call $latin (i32.const 32) (i32.const 3)))
      (func (export "outside") (result i32) (call $same (i32.const 65534) (i32.const 7)))
      (func (export "many") (param $n i32) (result i32)
        (local $sum i32)
        (loop $again
          (local.set $sum (i32.add (local.get $sum) (call $same (i32.const 16) (i32.const 7))))
          (local.set $n (i32.sub (local.get $n) (i32.const 1)))
          (br_if $again (local.get $n)))
        (local.get $sum)))
    (core instance $i (instantiate $m (with "" (instance
      (export "same" (func $same))
      (export "wider" (func $wider))
      (export "latin" (func $latin))))))
    (func (export "same") (result u32) (canon lift (core func $i "same")))
    (func (export "wider") (result u32) (canon lift (core func $i "wider")))
    (func (export "latin") (result u32) (canon lift (core func $i "latin")))
    (func (export "outside") (result u32) (canon lift (core func $i "outside")))
    (func (export "many") (param "n" u32) (result u32) (canon lift (core func $i "many"))))
  (instance $sum (instantiate $Sum))
  (instance $caller (instantiate $Caller
    (with "sum" (func $sum "sum"))
    (with "sum16" (func $sum "sum16"))))
  (export "same" (func $caller "same"))
  (export "wider" (func $caller "wider"))
  (export "latin" (func $caller "latin"))
  (export "outside" (func $caller "outside"))
  (export "many" (func $caller "many"))
  (export "reallocs" (func $sum "reallocs")))

(assert_return (invoke "same") (u32.const 373201573))
(assert_return (invoke "reallocs") (u32.const 1))
(assert_return (invoke "wider") (u32.const 98768023))
(assert_return (invoke "latin") (u32.const 101118780))
(assert_return (invoke "many" (u32.const 3)) (u32.const 1119604719))
(assert_trap (invoke "outside") "string content out-of-bounds")
